//! The one table of methods: what is served, what `rpc_modules` lists, what the documentation and the
//! completion of the tools show.

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Method {
    /// What comes before the underscore.
    pub namespace: &'static str,
    /// What comes after it.
    pub name: &'static str,
    /// The parameters, as documented.
    pub params: &'static str,
    /// The result, as documented.
    pub result: &'static str,
}

/// A method of the reference that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The whole names, or a namespace with `*`.
    pub names: &'static str,
    /// Why.
    pub why: &'static str,
}

macro_rules! methods {
    ($($namespace:ident { $($name:ident($params:literal) -> $result:literal;)* })*) => {
        &[$($(Method {
            namespace: stringify!($namespace),
            name: stringify!($name),
            params: $params,
            result: $result,
        },)*)*]
    };
}

/// The methods by namespace. `waku_*` has the methods of `shh_*`, and `wakuext_*` those of
/// `shhext_*` but syncMessages.
const METHODS: &[Method] = methods! {
    admin {
        addPeer("enode") -> "true";
        addTrustedPeer("enode") -> "true";
        datadir("") -> "path";
        nodeInfo("") -> "object";
        peers("") -> "array";
        removePeer("enode") -> "true";
        removeTrustedPeer("enode") -> "true";
        startRPC("host?, port?, cors?, apis?, vhosts?") -> "true";
        startWS("host?, port?, origins?, apis?") -> "true";
        stopRPC("") -> "true";
        stopWS("") -> "true";
    }
    rpc {
        modules("") -> "object";
    }
    shh {
        addPrivateKey("hex of 32 bytes") -> "id";
        addSymKey("hex of 32 bytes") -> "id";
        cancelLightClient("") -> "true";
        deleteKeyPair("id or public key") -> "true";
        deleteMessageFilter("filter id") -> "true";
        deleteSymKey("id") -> "boolean";
        generateSymKeyFromPassword("text") -> "id";
        getFilterMessages("filter id") -> "array of messages";
        getPrivateKey("id or public key") -> "hex";
        getPublicKey("id or public key") -> "hex";
        getSymKey("id") -> "hex";
        hasKeyPair("id or public key") -> "boolean";
        hasSymKey("id") -> "boolean";
        info("") -> "object";
        makeLightClient("") -> "true";
        markTrustedPeer("enode") -> "true";
        newKeyPair("") -> "id";
        newMessageFilter("criteria") -> "filter id";
        newSymKey("") -> "id";
        post("message") -> "hash";
        setBloomFilter("hex of 64 bytes") -> "true";
        setMaxMessageSize("bytes") -> "true";
        setMinPoW("number") -> "true";
        subscribe("\"messages\", criteria") -> "subscription id";
        uninstallFilter("filter id") -> "null";
        unsubscribe("subscription id") -> "true";
        version("") -> "\"6.0\", waku \"0\"";
    }
    shhext {
        confirmMessagesProcessedByID("array of metadata") -> "null";
        echo("text") -> "text";
        requestMessages("request") -> "hash";
        requestMessagesSync("retries, request") -> "{cursor, error}";
        subscribe("\"signals\"") -> "subscription id";
        syncMessages("request") -> "{cursor, error}";
        updateMailservers("array of enodes") -> "null";
    }
    web3 {
        clientVersion("") -> "text";
        sha3("hex") -> "hex";
    }
};

/// What the reference has and this server has not. Calls of these get the error of an unknown method.
pub const MISSING: &[Missing] = &[
    Missing { names: "admin_exportChain admin_importChain", why: "no chain" },
    Missing { names: "admin_sleep admin_sleepBlocks", why: "of the console alone" },
    Missing { names: "wakuext_syncMessages", why: "the reference has none, either" },
    Missing { names: "mailservers_*", why: "not offered yet" },
    Missing {
        names: "shhext_* wakuext_*, all that need a messenger",
        why: "not offered yet: chats, groups, contacts, messages, transactions, devices, startMessenger",
    },
    Missing { names: "debug_*", why: "profiles and logs of Go" },
    Missing { names: "net_*", why: "the reference's build has none, either" },
    Missing { names: "eth_*", why: "no chain" },
];

/// The namespaces that can be offered, in order.
pub const NAMESPACES: &[&str] = &["admin", "rpc", "shh", "shhext", "waku", "wakuext", "web3"];

/// All methods, those of Waku among them.
pub fn methods() -> impl Iterator<Item = Method> {
    let waku = METHODS.iter().filter_map(|method| {
        let namespace = match method.namespace {
            "shh" => "waku",
            "shhext" if method.name != "syncMessages" => "wakuext",
            _ => return None,
        };
        Some(Method { namespace, ..*method })
    });
    METHODS.iter().copied().chain(waku)
}

/// Returns whether there is such a method.
pub(crate) fn exists(namespace: &str, name: &str) -> bool {
    methods().any(|method| method.namespace == namespace && method.name == name)
}
