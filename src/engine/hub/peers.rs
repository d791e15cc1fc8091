//! What a hub keeps of each connection, in places that do not move.

use std::cell::Cell;
use std::ops::{Index, IndexMut};

use hashbrown::HashMap;
use slab::Slab;

use super::super::ConnId;
use crate::effort::{did, Work};

/// One connection and its place. A place is used again, a [`ConnId`] is not: that tells whether the place still holds
/// this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerId {
    place: u32,
    conn: ConnId,
}

impl PeerId {
    /// The connection that is at this place.
    pub fn new(place: usize, conn: ConnId) -> PeerId {
        PeerId { place: place as u32, conn }
    }

    /// Where it is as long as it is there.
    pub fn place(self) -> usize {
        self.place as usize
    }

    /// Its connection.
    pub fn conn(self) -> ConnId {
        self.conn
    }
}

/// For so many connections it is remembered where they are.
const RECENT: usize = 64;

/// One `T` for each connection.
///
/// A place, a plain `usize`, is valid until its connection is [removed](Peers::remove), which happens between two calls
/// to a hub's engine. What is remembered for longer is a [`PeerId`].
pub struct Peers<T> {
    slab: Slab<(ConnId, T)>,
    places: HashMap<ConnId, u32>,
    /// Where connections were found last, by the lowest bits of their numbers, which are given out in order.
    recent: [Cell<u32>; RECENT],
    /// How often all of them were walked through.
    #[cfg(test)]
    pub walks: Cell<usize>,
}

impl<T> Peers<T> {
    /// None.
    pub fn new() -> Peers<T> {
        Peers {
            slab: Slab::new(),
            places: HashMap::new(),
            recent: [const { Cell::new(0) }; RECENT],
            #[cfg(test)]
            walks: Cell::default(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds one for a connection that has none; returns its place.
    pub fn insert(&mut self, conn: ConnId, peer: T) -> usize {
        let place = self.slab.insert((conn, peer));
        self.places.insert(conn, place as u32);
        place
    }

    /// Takes out the one of this connection.
    pub fn remove(&mut self, conn: ConnId) -> Option<T> {
        let place = self.places.remove(&conn)?;
        Some(self.slab.remove(place as usize).1)
    }

    /// The place of a connection.
    #[inline]
    pub fn find(&self, conn: ConnId) -> Option<usize> {
        let recent = &self.recent[conn.0 as usize % RECENT];
        let place = recent.get();
        if self.slab.get(place as usize).is_some_and(|&(held, _)| held == conn) {
            return Some(place as usize);
        }
        let &place = self.places.get(&conn)?;
        recent.set(place);
        Some(place as usize)
    }

    /// What the connection at this place is remembered by.
    pub fn id(&self, place: usize) -> PeerId {
        PeerId::new(place, self.slab[place].0)
    }

    /// The place of a connection that was remembered, if it is still there.
    pub fn place(&self, id: PeerId) -> Option<usize> {
        let place = id.place();
        self.slab.get(place).is_some_and(|&(conn, _)| conn == id.conn).then_some(place)
    }

    /// Each of them, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        #[cfg(test)]
        self.walks.set(self.walks.get() + 1);
        self.slab.iter().inspect(|_| did(Work::Peer, 1)).map(|(_, (_, peer))| peer)
    }

    /// Each of them with its place, from this place on.
    pub fn iter_from(&self, place: usize) -> impl Iterator<Item = (usize, &T)> {
        let found = (place..self.slab.capacity()).filter_map(|place| Some((place, &self.slab.get(place)?.1)));
        found.inspect(|_| did(Work::Peer, 1))
    }

    /// Each of them, in the order of the places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.iter_mut_with_places().map(|(_, peer)| peer)
    }

    /// The same with the places.
    pub fn iter_mut_with_places(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        #[cfg(test)]
        self.walks.set(self.walks.get() + 1);
        self.slab.iter_mut().inspect(|_| did(Work::Peer, 1)).map(|(place, (_, peer))| (place, peer))
    }
}

impl<T> Index<usize> for Peers<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        &self.slab[place].1
    }
}

impl<T> IndexMut<usize> for Peers<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.slab[place].1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_that_is_used_again_is_not_that_of_the_connection_before() {
        let mut peers = Peers::new();
        let place = peers.insert(ConnId(1), 'a');
        let first = peers.id(place);
        assert_eq!(peers.place(first), Some(place));
        assert_eq!(peers.remove(ConnId(1)), Some('a'));
        assert_eq!(peers.place(first), None, "nobody is there");
        assert_eq!(peers.insert(ConnId(2), 'b'), place);
        assert_eq!(peers.place(first), None, "another is there");
        assert_eq!(peers.place(peers.id(place)), Some(place));
        assert_eq!((peers.remove(ConnId(1)), peers.len()), (None, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_connection_keeps_its_place_while_others_come_and_go(leaves in vec(any::<Option<u8>>(), 0..200)) {
            let mut peers = Peers::new();
            let mut model = BTreeMap::new();
            let (mut gone, mut most) = (Vec::new(), 0);
            for (conn, leaves) in (0..).map(ConnId).zip(leaves) {
                let nth = leaves.and_then(|nth| model.keys().nth(usize::from(nth) % model.len().max(1)).copied());
                if let Some(other) = nth {
                    gone.extend(model.remove(&other));
                    prop_assert_eq!(peers.remove(other), Some(other.0));
                } else {
                    let place = peers.insert(conn, conn.0);
                    model.insert(conn, peers.id(place));
                }
                prop_assert_eq!(peers.len(), model.len());
                most = most.max(model.len());
                for (&conn, &id) in &model {
                    let place = peers.place(id);
                    prop_assert!(place.is_some_and(|place| place < most) && place == peers.find(conn));
                    prop_assert_eq!(peers[place.unwrap_or_default()], conn.0);
                }
                prop_assert!(gone.iter().all(|&id| peers.place(id).is_none()));
                let mut all: Vec<_> = peers.iter().copied().collect();
                all.sort_unstable();
                prop_assert_eq!(all, model.keys().map(|conn| conn.0).collect::<Vec<_>>());
            }
        }
    }
}
