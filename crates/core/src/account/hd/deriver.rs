//! Derives many keys of one tree, each common step once.

use std::{collections::BTreeMap, fmt};

use super::{ExtendedPrivateKey, HdError, Node};
use crate::{
    account::path::{ChildIndex, DerivationPath},
    crypto::PublicKey,
};

/// The maximum number of cached nodes; the cache is cleared when it is full.
const MAX_NODES: usize = 4096;

/// Derives from one key and caches the intermediate nodes with their public keys.
///
/// The wallet accounts `m/44'/60'/0'/0/0`, `/1`, … then cost one step each instead of five. Nodes
/// are secret, and erased when the deriver is dropped.
#[derive(Clone)]
pub struct Deriver {
    root: ExtendedPrivateKey,
    nodes: BTreeMap<Box<[ChildIndex]>, Known>,
}

#[derive(Clone)]
struct Known {
    node: Node,
    public: PublicKey,
}

impl Deriver {
    /// Creates a deriver whose paths start at `root`, usually a master key.
    pub fn new(root: ExtendedPrivateKey) -> Self {
        Self { root, nodes: BTreeMap::new() }
    }

    /// Returns the key where paths start.
    pub fn root(&self) -> &ExtendedPrivateKey {
        &self.root
    }

    /// Derives the key at `path`, the same as `self.root().derive(path)`.
    ///
    /// # Errors
    /// If the depth would exceed 255, or if there is no key at an index: one in 2^127.
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

    /// Derives the node at `steps` from its nearest cached ancestor.
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
