//! Every workload of `sparrow bench` runs, tiny and short, keeps all promises, and writes its result; what is no node is
//! refused in a sentence.

use std::path::Path;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sparrow"))
        .arg("bench")
        .args(arguments)
        .env_remove("SPARROW_CONFIG")
        .output()
        .unwrap()
}

/// Runs a workload at a size that says nothing of speed; answers what it wrote.
fn result(workload: &[&str], directory: &Path) -> serde_json::Value {
    let file = directory.join(format!("{}.json", workload.join("")));
    let mut arguments = workload.to_vec();
    arguments.extend(["--duration", "1s", "--json", file.to_str().unwrap()]);
    let output = bench(&arguments);
    assert!(output.status.success(), "{workload:?}: {output:#?}");
    assert!(output.stderr.is_empty(), "no bar where nobody looks: {output:#?}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn figure(result: &serde_json::Value, name: &str) -> f64 {
    let figures = result["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {result:#}"))["value"].as_f64().unwrap()
}

#[test]
fn workloads_that_send_measure_acks_deliveries_and_efficiency() {
    let directory = tempfile::tempdir().unwrap();
    let small = ["--connections", "12", "--rate", "40"];
    for (workload, readers) in [
        (&["direct"][..], 1.0),
        (&["direct", "--receipts", "--codec", "mixed", "--transport", "mixed"], 1.0),
        (&["groups"], 9.0),
        (&["fanout"], 11.0),
        (&["hot"], 11.0),
        (&["hot", "--send-only"], 1.0),
    ] {
        let arguments: Vec<&str> = workload.iter().copied().chain(small).collect();
        let result = result(&arguments, directory.path());
        assert_eq!(result["violations"].as_array().unwrap().len(), 0);
        let delivered = figure(&result, "delivered") / figure(&result, "acked");
        assert!((delivered - readers).abs() < 1e-6, "{delivered} of {readers} for {workload:?}");
        assert!(figure(&result, "commits") > 0.0);
        figure(&result, "floor: echo of a send to all who get it");
    }
}

#[test]
fn a_search_tells_every_probe_and_a_page_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    // A goal that nothing reaches: the search ends at its lowest rate.
    let search = ["direct", "--connections", "4", "--rate", "4", "--search", "p99=1ms", "--no-floor"];
    let result = result(&search, directory.path());
    assert!(!result["probes"].as_array().unwrap().is_empty());
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
    let page = directory.path().join("page.html");
    let output = bench(&["report", files[0].to_str().unwrap(), "--output", page.to_str().unwrap()]);
    assert!(output.status.success(), "{output:#?}");
    assert!(std::fs::read_to_string(page).unwrap().contains("<svg"));
}

#[test]
fn workloads_that_read_find_everything() {
    let directory = tempfile::tempdir().unwrap();
    let floor = result(&["floor", "--connections", "4", "--rate", "50"], directory.path());
    assert!(figure(&floor, "echoed") > 0.0);
    let idle = result(&["idle", "--connections", "20"], directory.path());
    assert!(figure(&idle, "resident memory at 20") > 0.0);
    let storm = result(&["storm", "--connections", "20"], directory.path());
    assert_eq!(figure(&storm, "devices complete"), 20.0);
    let offline = result(&["offline", "--entries", "300", "--conversations", "10"], directory.path());
    assert!(figure(&offline, "entries missed") >= 300.0);
    let history = result(&["history", "--entries", "5000", "--connections", "2", "--rate", "50"], directory.path());
    assert_eq!(history["latencies"][0]["count"], 50);
}

#[test]
fn a_server_that_is_not_there_is_told_in_a_sentence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = bench(&["direct", "--server", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:#?}");
}

#[test]
fn more_connections_than_file_descriptors_are_told_in_a_sentence() {
    let sparrow = env!("CARGO_BIN_EXE_sparrow");
    let limited = format!("ulimit -n 200 && exec {sparrow} bench direct --connections 1000");
    let output = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:#?}");
}
