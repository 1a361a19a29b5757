//! The cgroups that exist: an arena of folders, compact enough for 100,000 of them.

/// A place in the arena.
pub(super) type NodeId = u32;

/// No node, no slot.
pub(super) const NONE: u32 = u32::MAX;

/// No watch: inotify never gives a negative one.
pub(super) const UNWATCHED: i32 = -1;

/// One folder.
#[derive(Debug)]
pub(super) struct Node {
    /// The exact bytes of its name; empty for a root.
    pub(super) name: Box<[u8]>,
    /// The folders in it, ordered by name.
    pub(super) children: Vec<NodeId>,
    /// What tells it from a later folder of the same name; 0 while unknown.
    pub(super) inode: u64,
    pub(super) parent: NodeId,
    /// Its place among the cgroups that are read, if it is one of them.
    pub(super) slot: u32,
    /// The folder of the same path in the other hierarchy of a hybrid host.
    pub(super) twin: NodeId,
    /// The inotify watch on it.
    pub(super) watch: i32,
    /// The tick before which it was made, if it is known that it was made in that very interval; else 0.
    pub(super) born: u32,
    /// The tick in which its children were last known completely; else 0.
    pub(super) complete: u32,
    pub(super) depth: u8,
    /// Which of the hierarchies it belongs to.
    pub(super) hierarchy: u8,
    pub(super) alive: bool,
    /// Whether its path is that of a workload.
    pub(super) recognised: bool,
    /// Whether it is a workload or lies above one.
    pub(super) bears: bool,
}

/// What is left of a removed folder to be given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) id: NodeId,
    pub(super) slot: u32,
    pub(super) twin: NodeId,
    pub(super) watch: i32,
}

/// All folders of all hierarchies.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    alive: usize,
}

impl Tree {
    /// How many places there are, for a sweep over all of them.
    pub(super) fn places(&self) -> usize {
        self.nodes.len()
    }

    /// How many folders there are.
    pub(super) fn len(&self) -> usize {
        self.alive
    }

    /// The folder, while it lives.
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.at(id).filter(|node| node.alive)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize).filter(|node| node.alive)
    }

    /// The folder, also while it waits to be forgotten.
    fn at(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn add_root(&mut self, hierarchy: u8) -> NodeId {
        self.place(Node::new(Box::default(), NONE, 0, hierarchy))
    }

    /// Adds the folder `name` in `parent`; `None` where the parent is gone or already has one.
    pub(super) fn add(&mut self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let at = self.search(parent, name)?.err()?;
        let above = self.node(parent)?;
        let node = Node::new(name.into(), parent, above.depth.saturating_add(1), above.hierarchy);
        let id = self.place(node);
        self.node_mut(parent)?.children.insert(at, id);
        Some(id)
    }

    fn place(&mut self, node: Node) -> NodeId {
        self.alive += 1;
        if let Some(id) = self.free.pop() {
            if let Some(place) = self.nodes.get_mut(id as usize) {
                *place = node;
            }
            return id;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    pub(super) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let at = self.search(parent, name)?.ok()?;
        self.node(parent)?.children.get(at).copied()
    }

    /// The deepest known folder on the way from `root` along `path`.
    pub(super) fn deepest(&self, root: NodeId, path: &[u8]) -> NodeId {
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        names
            .map_while({
                let mut at = root;
                move |name| {
                    at = self.child(at, name)?;
                    Some(at)
                }
            })
            .last()
            .unwrap_or(root)
    }

    fn search(&self, parent: NodeId, name: &[u8]) -> Option<Result<usize, usize>> {
        let children = &self.node(parent)?.children;
        Some(children.binary_search_by(|&child| self.at(child).map_or(&[][..], |node| &node.name).cmp(name)))
    }

    /// The folder and all in it, parents first.
    pub(super) fn subtree(&self, top: NodeId) -> Vec<NodeId> {
        let mut found = vec![top];
        let mut next = 0;
        while let Some(node) = found.get(next).map(|&id| self.node(id)) {
            found.extend_from_slice(node.map_or(&[], |node| &node.children));
            next += 1;
        }
        found
    }

    /// Takes the folder and all in it out of the tree. They keep name and parent until [`Tree::forget`].
    pub(super) fn remove(&mut self, top: NodeId) -> Vec<Removed> {
        let Some(node) = self.node(top) else { return Vec::new() };
        let parent = node.parent;
        let removed = self.subtree(top);
        let place = self.at(top).and_then(|node| self.search(parent, &node.name)?.ok());
        if let (Some(place), Some(parent)) = (place, self.node_mut(parent)) {
            parent.children.remove(place);
            // Only who saw it go knows what else happened there.
            parent.complete = 0;
        }
        removed.into_iter().filter_map(|id| self.end(id)).collect()
    }

    fn end(&mut self, id: NodeId) -> Option<Removed> {
        let node = self.node_mut(id)?;
        node.alive = false;
        node.children = Vec::new();
        let removed = Removed { id, slot: node.slot, twin: node.twin, watch: node.watch };
        let twin = node.twin;
        self.alive -= 1;
        if let Some(twin) = self.node_mut(twin) {
            twin.twin = NONE;
        }
        Some(removed)
    }

    /// Frees the place of a removed folder.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.free.push(id);
    }

    /// The path relative to the root of its hierarchy, without a slash in front; `.` for the root itself.
    pub(super) fn path(&self, id: NodeId) -> Vec<u8> {
        let mut path = Vec::new();
        self.write_path(id, &mut path);
        path
    }

    /// Writes what [`Tree::path`] gives.
    pub(super) fn write_path(&self, id: NodeId, path: &mut Vec<u8>) {
        path.clear();
        let mut at = self.at(id);
        while let Some(node) = at.filter(|node| node.parent != NONE) {
            path.extend(node.name.iter().rev());
            path.push(b'/');
            at = self.at(node.parent);
        }
        path.pop();
        path.reverse();
        if path.is_empty() {
            path.push(b'.');
        }
    }

    /// The place of the folder among those that are read, or of its twin in its stead. The roots serve only their own:
    /// processes that are in a cgroup of the one hierarchy alone may be anywhere in the other.
    pub(super) fn serving(&self, node: &Node) -> u32 {
        let twin = self.twin(node).map_or(NONE, |twin| twin.slot);
        if node.slot == NONE { twin } else { node.slot }
    }

    /// The folders in the folder and in its twin.
    pub(super) fn inside(&self, node: &Node) -> Vec<NodeId> {
        let twin = self.twin(node).map_or(&[][..], |twin| &twin.children);
        [&node.children, twin].concat()
    }

    fn twin(&self, node: &Node) -> Option<&Node> {
        self.node(node.twin).filter(|twin| !twin.is_root())
    }

    /// The folders above, nearest first.
    pub(super) fn ancestors(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Node)> {
        let above = |node: &Node| Some(node.parent).filter(|&parent| parent != NONE);
        let first = self.at(id).and_then(above);
        std::iter::successors(first, move |&id| self.at(id).and_then(above))
            .filter_map(|id| Some((id, self.at(id)?)))
    }
}

impl Node {
    fn new(name: Box<[u8]>, parent: NodeId, depth: u8, hierarchy: u8) -> Self {
        Self {
            name,
            children: Vec::new(),
            inode: 0,
            parent,
            slot: NONE,
            twin: NONE,
            watch: UNWATCHED,
            born: 0,
            complete: 0,
            depth,
            hierarchy,
            alive: true,
            recognised: false,
            bears: false,
        }
    }

    /// Whether it is the root of its hierarchy.
    pub(super) fn is_root(&self) -> bool {
        self.parent == NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_and_go() {
        let mut tree = Tree::default();
        let root = tree.add_root(0);
        let b = tree.add(root, b"b").unwrap();
        let a = tree.add(root, b"a").unwrap();
        let deep = tree.add(b, b"deep").unwrap();
        assert_eq!(tree.add(root, b"a"), None);
        assert_eq!(tree.node(root).unwrap().children, [a, b]);
        assert_eq!(tree.child(b, b"deep"), Some(deep));
        assert_eq!(tree.path(deep), b"b/deep");
        assert_eq!(tree.path(root), b".");

        assert_eq!(tree.remove(b).iter().map(|removed| removed.id).collect::<Vec<_>>(), [b, deep]);
        assert_eq!(tree.child(root, b"b"), None);
        assert_eq!(tree.path(deep), b"b/deep", "kept for the last tick");
        assert_eq!(tree.len(), 2);
        assert!(tree.remove(b).is_empty());
        tree.forget(b);
        assert_eq!(tree.add(root, b"c"), Some(b));
    }
}
