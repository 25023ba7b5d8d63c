//! Who reads what and who speaks where, as numbers: what a workload is, before there are accounts or connections.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// The conversations of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many connections there are.
    pub(crate) connections: usize,
    /// For each conversation its members' connections. Those of a conversation of two are a direct.
    pub(crate) rooms: Vec<Vec<usize>>,
    /// Who may send where, as connection and conversation.
    pub(crate) voices: Vec<(usize, usize)>,
    /// From this connection on they only send, and get no pushes.
    pub(crate) mute_from: usize,
    /// True if what counts is when the last member has an entry.
    pub(crate) last_counts: bool,
}

impl Shape {
    /// Pairs, each with a direct in which both send.
    pub(crate) fn pairs(connections: usize) -> Self {
        let pairs = connections / 2;
        Self {
            connections: pairs * 2,
            rooms: (0..pairs).map(|pair| vec![2 * pair, 2 * pair + 1]).collect(),
            voices: (0..2 * pairs).map(|line| (line, line / 2)).collect(),
            mute_from: usize::MAX,
            last_counts: false,
        }
    }

    /// As many groups of `size` as make everybody a member of four, drawn; everybody sends to all of theirs.
    pub(crate) fn groups(connections: usize, size: usize, seed: u64) -> Self {
        const EACH: usize = 4;
        let size = size.clamp(2, connections.max(2));
        let mut random = StdRng::seed_from_u64(seed);
        let mut everybody: Vec<usize> = (0..connections.max(2)).collect();
        let mut rooms = Vec::new();
        for _ in 0..EACH {
            everybody.shuffle(&mut random);
            rooms.extend(everybody.chunks_exact(size).map(<[usize]>::to_vec));
        }
        let voices = rooms.iter().enumerate().flat_map(|(room, members)| members.iter().map(move |line| (*line, room)));
        let voices = voices.collect();
        Self { connections: everybody.len(), rooms, voices, mute_from: usize::MAX, last_counts: false }
    }

    /// One group of everybody, in which a few send.
    pub(crate) fn crowd(connections: usize) -> Self {
        const SENDERS: usize = 10;
        let connections = connections.max(2);
        Self {
            connections,
            rooms: vec![(0..connections).collect()],
            voices: (0..connections.min(SENDERS)).map(|line| (line, 0)).collect(),
            mute_from: usize::MAX,
            last_counts: true,
        }
    }

    /// One group in which everybody sends and receives.
    pub(crate) fn hot(connections: usize) -> Self {
        let crowd = Self::crowd(connections);
        Self { voices: (0..crowd.connections).map(|line| (line, 0)).collect(), last_counts: false, ..crowd }
    }

    /// One group in which everybody only sends but the first, who only reads.
    pub(crate) fn hot_send_only(connections: usize) -> Self {
        let crowd = Self::crowd(connections + 1);
        let voices = (1..crowd.connections).map(|line| (line, 0)).collect();
        Self { voices, mute_from: 1, last_counts: false, ..crowd }
    }

    /// The conversations of one connection, in increasing order.
    pub(crate) fn rooms_of(&self) -> Vec<Vec<usize>> {
        let mut of = vec![Vec::new(); self.connections];
        for (room, members) in self.rooms.iter().enumerate() {
            for &line in members {
                of[line].push(room);
            }
        }
        of
    }

    /// To how many sessions an entry goes, besides its sender's.
    pub(crate) fn readers_per_send(&self) -> f64 {
        let readers = |&(line, room): &(usize, usize)| {
            self.rooms[room].iter().filter(|reader| **reader != line && **reader < self.mute_from).count()
        };
        self.voices.iter().map(readers).sum::<usize>() as f64 / self.voices.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_four_groups_and_every_group_has_its_size() {
        let shape = Shape::groups(2_500, 10, 7);
        assert_eq!(shape.rooms.len(), 1_000);
        assert!(shape.rooms.iter().all(|members| members.len() == 10));
        assert!(shape.rooms_of().iter().all(|rooms| rooms.len() == 4));
    }

    #[test]
    fn readers_are_those_who_are_online_besides_the_sender() {
        assert_eq!(Shape::pairs(100).readers_per_send(), 1.0);
        assert_eq!(Shape::groups(100, 10, 1).readers_per_send(), 9.0);
        assert_eq!(Shape::crowd(500).readers_per_send(), 499.0);
        assert_eq!(Shape::hot(64).readers_per_send(), 63.0);
        assert_eq!(Shape::hot_send_only(64).readers_per_send(), 1.0);
    }
}
