//! The newest value of each name.

use std::mem::{replace, size_of};

use super::super::hash::{KeyHash, KeyIndex};
use super::super::slots::{Slots, NONE};
use super::Keyed;

/// For each name the values of all senders, in a pairing heap whose root is the newest.
///
/// The newest of a name is found in one step. A new value, and a change of one that is the only one of its name, take
/// one step, too; another change and a removal take logarithmically many, averaged over all of them.
pub(super) struct NameIndex {
    /// The root of each heap, by name.
    roots: KeyIndex,
    /// By slot.
    links: Vec<Links>,
}

/// The place of a value in its heap. No value is newer than its parent.
#[derive(Clone, Copy)]
struct Links {
    /// The first child.
    child: u32,
    /// The next child of the same parent.
    next: u32,
    /// The child before it, or the parent of a first child; [`NONE`] for a root.
    previous: u32,
}

const ALONE: Links = Links { child: NONE, next: NONE, previous: NONE };

impl NameIndex {
    /// What it costs for a value, if each has a name of its own.
    pub(super) const OVERHEAD: usize = size_of::<Links>() + KeyIndex::COST;

    /// The index of these values.
    pub(super) fn of<T: Keyed>(values: &Slots<T>) -> NameIndex {
        let mut names = NameIndex { roots: KeyIndex::new(), links: Vec::new() };
        for slot in (0..values.end() as u32).filter(|&slot| values.get(slot).is_some()) {
            names.insert(values, slot);
        }
        names
    }

    /// The slot of the newest value of a name.
    pub(super) fn newest<T: Keyed>(&self, values: &Slots<T>, name: &str) -> Option<u32> {
        self.root(values, self.hash(name), name)
    }

    /// Adds a value that is in `values` already.
    pub(super) fn insert<T: Keyed>(&mut self, values: &Slots<T>, slot: u32) {
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, ALONE);
        }
        self.links[at] = ALONE;
        self.join(values, slot);
    }

    /// A value has another stamp than before.
    #[inline(never)]
    pub(super) fn restamped<T: Keyed>(&mut self, values: &Slots<T>, slot: u32) {
        let place = self.links[slot as usize];
        if place.child == NONE && place.previous == NONE {
            // The only one of its name.
            return;
        }
        let children = self.meld_children(values, slot);
        self.links[slot as usize] = ALONE;
        let tree = if children == NONE { slot } else { self.meld(values, slot, children) };
        if place.previous == NONE {
            self.put_in_place(place, slot, tree, values.name(slot));
        } else {
            self.put_in_place(place, slot, NONE, values.name(slot));
            self.join(values, tree);
        }
    }

    /// Takes out a value of this name, which is no longer in `values`.
    pub(super) fn remove<T: Keyed>(&mut self, values: &Slots<T>, slot: u32, name: &str) {
        let place = self.links[slot as usize];
        let children = self.meld_children(values, slot);
        self.put_in_place(place, slot, children, name);
    }

    fn hash(&self, name: &str) -> KeyHash {
        self.roots.hash_text(name.as_bytes())
    }

    fn root<T: Keyed>(&self, values: &Slots<T>, hash: KeyHash, name: &str) -> Option<u32> {
        self.roots.find(hash, |slot| values.get(slot).is_some_and(|value| value.is_named(name.as_bytes())))
    }

    /// Melds a tree with the heap of its name, or makes it that.
    fn join<T: Keyed>(&mut self, values: &Slots<T>, tree: u32) {
        let name = values.name(tree);
        let hash = self.hash(name);
        match self.root(values, hash, name) {
            Some(root) => {
                let melded = self.meld(values, root, tree);
                self.roots.replace(hash, root, melded);
            }
            None => self.roots.insert(hash, tree),
        }
    }

    /// Puts a tree, none of whose values is newer than the parent there, or nothing, where `slot` was.
    fn put_in_place(&mut self, place: Links, slot: u32, tree: u32, name: &str) {
        let Links { next, previous, .. } = place;
        if previous == NONE {
            let hash = self.hash(name);
            match tree {
                NONE => self.roots.remove(hash, slot),
                tree => self.roots.replace(hash, slot, tree),
            }
            return;
        }
        let (follows, precedes) = if tree == NONE { (next, previous) } else { (tree, tree) };
        if tree != NONE {
            (self.links[tree as usize].next, self.links[tree as usize].previous) = (next, previous);
        }
        let before = &mut self.links[previous as usize];
        let link = if before.child == slot { &mut before.child } else { &mut before.next };
        *link = follows;
        if next != NONE {
            self.links[next as usize].previous = precedes;
        }
    }

    /// Takes the children of a value, and makes one tree of them; [`NONE`] if there are none.
    fn meld_children<T: Keyed>(&mut self, values: &Slots<T>, parent: u32) -> u32 {
        // In pairs first, which is what makes it logarithmic.
        let (mut rest, mut pairs) = (replace(&mut self.links[parent as usize].child, NONE), NONE);
        while rest != NONE {
            let first = self.take_first(&mut rest);
            let pair = if rest == NONE {
                first
            } else {
                let second = self.take_first(&mut rest);
                self.meld(values, first, second)
            };
            self.links[pair as usize].next = replace(&mut pairs, pair);
        }
        let mut tree = NONE;
        while pairs != NONE {
            let pair = self.take_first(&mut pairs);
            tree = if tree == NONE { pair } else { self.meld(values, tree, pair) };
        }
        tree
    }

    /// Takes the first tree out of a list of them.
    fn take_first(&mut self, list: &mut u32) -> u32 {
        let first = *list;
        let links = &mut self.links[first as usize];
        *list = links.next;
        (links.next, links.previous) = (NONE, NONE);
        first
    }

    /// Makes the older of two roots a child of the newer one, which is returned.
    fn meld<T: Keyed>(&mut self, values: &Slots<T>, a: u32, b: u32) -> u32 {
        let order = values.get(a).map(Keyed::age_order).cmp(&values.get(b).map(Keyed::age_order));
        let (newer, older) = if order.is_ge() { (a, b) } else { (b, a) };
        let sibling = replace(&mut self.links[newer as usize].child, older);
        let links = &mut self.links[older as usize];
        (links.next, links.previous) = (sibling, newer);
        if sibling != NONE {
            self.links[sibling as usize].previous = older;
        }
        newer
    }
}
