//! Steps at which a node can be made to fail.

/// The variable that says which steps fail: `step=actions;step=actions`, with the actions of the crate `fail` (`panic`,
/// `sleep(50)`, `3*off->panic`, `1%panic`), and `return(kill)`, which ends the process as `kill -9` does, or
/// `return(kill 200)`, which does so after so many milliseconds at this step.
const VARIABLE: &str = "FAILPOINTS";

/// The variable that names a file with the same, which is followed while the process runs.
#[cfg(feature = "failpoints")]
const FILE_VARIABLE: &str = "FAILPOINTS_FILE";

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $step:ident = $name:literal,)+) => {
        /// A step of a node's work.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[doc = $doc])+ $step,)+
        }

        impl Step {
            /// All of them, in the order in which a send meets them.
            pub const ALL: &[Self] = &[$(Self::$step),+];

            /// Its name among the failpoints.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)+
                }
            }
        }
    };
}

steps! {
    /// A session's frame was read and decoded, and is about to be carried out.
    GatewayRead = "gateway.read",
    /// A send is about to pass its session's gate.
    Gate = "gate",
    /// A command is about to be put into the lane.
    LaneEnqueue = "lane.enqueue",
    /// A batch is about to be given to the store.
    LaneBeforeCommit = "lane.before_commit",
    /// A cursor is about to be moved.
    Cursor = "store.cursor",
    /// A transaction is about to be committed.
    StoreBeforeCommit = "store.before_commit",
    /// A transaction was committed; nobody knows yet.
    StoreAfterCommit = "store.after_commit",
    /// A batch was committed; nobody was answered yet.
    LaneAfterCommit = "lane.after_commit",
    /// A command is about to be answered.
    Answer = "lane.answer",
    /// Everybody was answered; nothing was handed to the fan-out yet.
    FanoutBefore = "fanout.before",
    /// A fan-out worker has entries in hand.
    Fanout = "fanout",
    /// A member list is about to be brought forward.
    Members = "fanout.members",
    /// Entries have passed the stage and are about to be pushed.
    Stage = "fanout.stage",
    /// A push is about to be queued for a session.
    SessionQueue = "session.queue",
    /// A frame is about to be handed to a session's socket.
    SocketWrite = "socket.write",
    /// A session is about to be made findable, and an older one of its device replaced.
    SessionRegister = "session.register",
    /// A session's queued pushes are about to be given up for a `Resync`.
    Resync = "session.resync",
    /// A node that shuts down is about to send its sessions away.
    ShutdownDrain = "shutdown.drain",
    /// A node that shuts down is about to flush its lane.
    ShutdownFlush = "shutdown.flush",
}

/// Fails here, if this step was told to.
#[cfg(feature = "failpoints")]
pub fn failpoint(step: Step) {
    fail::fail_point!(step.as_str(), |command| {
        let Some(wait) = command.as_deref().and_then(|command| command.strip_prefix("kill")) else { return };
        std::thread::sleep(std::time::Duration::from_millis(wait.trim().parse().unwrap_or(0)));
        tracing::warn!(step = step.as_str(), "a failpoint ends the process");
        end_process();
    });
}

/// Does nothing in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_step: Step) {}

/// Without a word to anybody, and at once.
#[cfg(feature = "failpoints")]
fn end_process() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
    std::process::abort();
}

#[cfg(feature = "failpoints")]
pub(super) fn arm() -> Result<(), String> {
    if let Ok(steps) = std::env::var(VARIABLE) {
        apply(&steps).map_err(|error| format!("{VARIABLE}: {error}"))?;
    }
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        std::thread::spawn(move || follow(std::path::Path::new(&path)));
    }
    Ok(())
}

/// Makes exactly these steps fail.
#[cfg(feature = "failpoints")]
fn apply(steps: &str) -> Result<(), String> {
    for step in Step::ALL {
        fail::remove(step.as_str());
    }
    for item in steps.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, actions) = item.split_once('=').ok_or_else(|| format!("`{item}` is not step=actions"))?;
        if Step::ALL.iter().all(|step| step.as_str() != name) {
            let names: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
            return Err(format!("no step is called `{name}`; there are {}", names.join(", ")));
        }
        fail::cfg(name, actions)?;
    }
    Ok(())
}

/// Obeys what the file says whenever that changes, and says so in a file beside it (`.obeyed`), with the same words.
#[cfg(feature = "failpoints")]
fn follow(path: &std::path::Path) {
    let (answer, draft) = (path.with_extension("obeyed"), path.with_extension("draft"));
    let mut obeyed = None;
    loop {
        let wanted = std::fs::read_to_string(path).ok();
        if let Some(steps) = wanted.filter(|steps| Some(steps) != obeyed.as_ref()) {
            match apply(&steps) {
                // Renamed, so that nobody reads half of it.
                Ok(()) => drop(std::fs::write(&draft, &steps).and_then(|()| std::fs::rename(&draft, &answer))),
                Err(error) => tracing::error!(%error, "the file of failpoints cannot be obeyed"),
            }
            obeyed = Some(steps);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[cfg(not(feature = "failpoints"))]
pub(super) fn arm() -> Result<(), String> {
    super::refuse(VARIABLE, "failpoints")
}
