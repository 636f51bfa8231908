//! Many keys of one tree, each common step done once.

use std::fmt;

use hashbrown::HashMap;

use super::{ExtendedPrivateKey, HdError, Node};
use crate::{
    account::path::{ChildIndex, DerivationPath},
    crypto::PublicKey,
};

/// How many nodes a [`Deriver`] remembers before it starts afresh.
const MAX_NODES: usize = 4096;

/// Derives from one key and remembers the nodes on the way, with their public keys.
///
/// The wallet accounts `m/44'/60'/0'/0/0`, `/1`, … cost one step each instead of five. Nodes are
/// secrets: they are erased when the deriver is dropped.
#[derive(Clone)]
pub struct Deriver {
    root: ExtendedPrivateKey,
    nodes: HashMap<Box<[ChildIndex]>, Known>,
}

#[derive(Clone)]
struct Known {
    node: Node,
    public: PublicKey,
}

impl Deriver {
    /// Paths start at `root`, usually a master key.
    pub fn new(root: ExtendedPrivateKey) -> Self {
        Self { root, nodes: HashMap::new() }
    }

    /// The key that paths start at.
    pub fn root(&self) -> &ExtendedPrivateKey {
        &self.root
    }

    /// The key at the end of `path`; the same as `self.root().derive(path)`.
    pub fn derive(&mut self, path: &DerivationPath) -> Result<ExtendedPrivateKey, HdError> {
        let [before @ .., last] = path.steps() else { return Ok(self.root.clone()) };
        let depth = usize::from(self.root.depth()) + path.steps().len();
        let depth = u8::try_from(depth).map_err(|_| HdError::TooDeep)?;
        if let Some(known) = self.nodes.get(before) {
            return known.node.leaf(*last, depth, &known.public);
        }
        let parent = self.walk(before)?;
        let leaf = parent.node.leaf(*last, depth, &parent.public);
        if self.nodes.len() >= MAX_NODES {
            self.nodes.clear();
        }
        self.nodes.insert(before.into(), parent);
        leaf
    }

    /// The node after `steps`, from the longest part of the way that is known.
    fn walk(&self, steps: &[ChildIndex]) -> Result<Known, HdError> {
        let root = || Node { chain_code: self.root.chain_code.clone(), key: self.root.key.clone() };
        let mut split = steps.len();
        let (mut node, mut public) = loop {
            let (head, _) = steps.split_at(split);
            if let Some(known) = self.nodes.get(head) {
                break (known.node.clone(), Some(known.public));
            }
            if split == 0 {
                break (root(), None);
            }
            split -= 1;
        };
        for step in steps.iter().skip(split) {
            node = node.child(*step, public.as_ref())?.0;
            public = None;
        }
        let public = public.unwrap_or_else(|| node.public_key());
        Ok(Known { node, public })
    }
}

impl fmt::Debug for Deriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deriver({} nodes, …)", self.nodes.len())
    }
}
