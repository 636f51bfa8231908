//! Transaction commands: requesting money in a chat, and proving that it was sent.
//!
//! A request goes through `CommandState`s. All its messages name the id of the first command.
//! The payer announces the transaction with a proof: a personal message (EIP-191, version `0x45`)
//! of 97 bytes, the payer's chat key and the hash of the transaction, signed by the wallet. Once
//! the transaction is mined, the receiver compares it with the request ([`validate`]).
//!
//! Source: Status, "Payloads", with the checks of the reference (status-go v0.50.2).

use super::{proto::SendTransaction, types::PayloadMessage};
use crate::{
    account::Address,
    crypto::{PublicKey, SecretKey},
    eip::eip191::PersonalSignature,
    explain::Explanation,
};

/// The state of a request, with the numbers that clients store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub(crate) enum CommandState {
    AddressRequested = 1,
    AddressDeclined = 2,
    AddressAccepted = 3,
    TransactionRequested = 4,
    TransactionDeclined = 5,
    Pending = 6,
    Sent = 7,
}

/// The command that started a request, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredCommand {
    /// The other party.
    pub peer: PublicKey,
    /// Whether we sent it.
    pub is_ours: bool,
    /// Its state.
    pub state: CommandState,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Another type of payload.
    #[error("this is no transaction command")]
    NotACommand,
    /// It answers an unknown command.
    #[error("there is no command of this id")]
    Unknown,
    /// It answers a command from another conversation.
    #[error("the command belongs to another chat")]
    OtherChat,
    /// It answers a command that we received.
    #[error("the command was not sent by us, so it is not for them to answer")]
    NotOurs,
    /// It answers a command that was answered already, or otherwise.
    #[error("the command is in another state")]
    State,
}

impl CommandState {
    /// Returns the state of a number.
    pub fn from_number(number: i32) -> Option<Self> {
        [
            Self::AddressRequested,
            Self::AddressDeclined,
            Self::AddressAccepted,
            Self::TransactionRequested,
            Self::TransactionDeclined,
            Self::Pending,
            Self::Sent,
        ]
        .into_iter()
        .find(|state| *state as i32 == number)
    }
}

impl CommandError {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotACommand => "transaction.not_a_command",
            Self::Unknown => "transaction.unknown",
            Self::OtherChat => "transaction.other_chat",
            Self::NotOurs => "transaction.not_ours",
            Self::State => "transaction.state",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "transaction.not_a_command",
            rule: "Only commands move a transaction on.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Another type of payloads.",
        },
        Explanation {
            code: "transaction.unknown",
            rule: "An answer names the id of a command that one has.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The request was lost.",
        },
        Explanation {
            code: "transaction.other_chat",
            rule: "A command is answered in the chat that it was sent to.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Someone else answers.",
        },
        Explanation {
            code: "transaction.not_ours",
            rule: "A command is answered by who received it.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The sender answers themselves.",
        },
        Explanation {
            code: "transaction.state",
            rule: "Addresses are given and declined in state 1, transactions are declined in state 4.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "The request was answered already.",
        },
    ];
}

/// Returns the state of the request that `command` starts. `None` if it starts none.
pub(crate) fn begun(command: &PayloadMessage) -> Option<CommandState> {
    match command {
        PayloadMessage::RequestAddressForTransaction(_) => Some(CommandState::AddressRequested),
        PayloadMessage::RequestTransaction(_) => Some(CommandState::TransactionRequested),
        _ => None,
    }
}

/// Returns the id of the command that `command` accepts or declines. `None` if it does neither.
pub(crate) fn answered(command: &PayloadMessage) -> Option<&str> {
    match command {
        PayloadMessage::AcceptRequestAddressForTransaction(it) => Some(&it.id),
        PayloadMessage::DeclineRequestAddressForTransaction(it) => Some(&it.id),
        PayloadMessage::DeclineRequestTransaction(it) => Some(&it.id),
        _ => None,
    }
}

/// Returns the state of a request after a valid `command` from `sender`. `stored` is the command
/// whose id it names, if there is one.
///
/// An announced transaction is pending until it is mined, requested or not. Then [`validate`]
/// decides whether it was [`CommandState::Sent`].
///
/// # Errors
/// If it is no command, or does not fit the stored one.
pub(crate) fn next_state(
    command: &PayloadMessage,
    sender: &PublicKey,
    stored: Option<&StoredCommand>,
) -> Result<CommandState, CommandError> {
    if let Some(state) = begun(command) {
        return Ok(state);
    }
    let (expected, next) = match command {
        PayloadMessage::SendTransaction(_) => return Ok(CommandState::Pending),
        PayloadMessage::AcceptRequestAddressForTransaction(_) => {
            (CommandState::AddressRequested, CommandState::AddressAccepted)
        }
        PayloadMessage::DeclineRequestAddressForTransaction(_) => {
            (CommandState::AddressRequested, CommandState::AddressDeclined)
        }
        PayloadMessage::DeclineRequestTransaction(_) => {
            (CommandState::TransactionRequested, CommandState::TransactionDeclined)
        }
        _ => return Err(CommandError::NotACommand),
    };
    let stored = stored.ok_or(CommandError::Unknown)?;
    if stored.peer != *sender {
        return Err(CommandError::OtherChat);
    }
    if !stored.is_ours {
        return Err(CommandError::NotOurs);
    }
    if stored.state == expected { Ok(next) } else { Err(CommandError::State) }
}

/// Returns what the wallet signs: the sender's chat key and the hash of the transaction.
pub fn proof_material(sender: &PublicKey, transaction_hash: &[u8; 32]) -> [u8; 97] {
    let mut material = [0; 97];
    material[..65].copy_from_slice(&sender.to_uncompressed());
    material[65..].copy_from_slice(transaction_hash);
    material
}

/// Proves that the owner of `wallet` made the transaction for `sender`.
pub fn prove(
    sender: &PublicKey,
    transaction_hash: &[u8; 32],
    wallet: &SecretKey,
) -> PersonalSignature {
    PersonalSignature::sign(wallet, &proof_material(sender, transaction_hash))
}

/// Returns the command that announces a transaction. `id` is that of the request, or empty.
pub fn announce(
    clock: u64,
    id: &str,
    sender: &PublicKey,
    transaction_hash: &[u8; 32],
    wallet: &SecretKey,
) -> SendTransaction {
    SendTransaction {
        clock,
        id: id.to_owned(),
        transaction_hash: format!("0x{}", hex::encode(transaction_hash)),
        signature: prove(sender, transaction_hash, wallet).as_bytes().to_vec(),
    }
}

/// What was requested: the texts of the request, or empty ones if there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The amount in decimal.
    pub value: &'a str,
    /// The contract of the token; empty for ether.
    pub contract: &'a str,
    /// The recipient; empty for any address of ours.
    pub address: &'a str,
}

/// The status of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// Mined but reverted.
    Failed,
    /// Mined.
    Mined,
    /// Not mined yet.
    Pending,
}

/// A transaction on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// Its hash.
    pub hash: [u8; 32],
    /// The wallet that paid.
    pub from: Address,
    /// The recipient, or the contract.
    pub to: Address,
    /// The amount of ether, big endian.
    pub value: [u8; 32],
    /// The call data; empty if there is no call.
    pub data: &'a [u8],
    /// Its status.
    pub status: TransactionStatus,
}

/// Whether a transaction fulfils a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not mined yet; check again later.
    Pending,
    /// Not what was requested.
    Invalid(Invalid),
    /// A payment to us.
    Valid {
        /// Whether the amount is the requested one.
        as_asked: bool,
        /// The address of ours that received it.
        to: Address,
        /// The contract of the token. `None` for ether.
        contract: Option<Address>,
        /// The amount in decimal. For tokens it is the requested one as written, and what
        /// arrived may differ: see `as_asked`.
        value: String,
    },
}

/// Why a transaction does not fulfil a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// It was reverted.
    #[error("the transaction failed")]
    Failed,
    /// The proof is malformed, or signed by another wallet.
    #[error("the proof is not a signature of the wallet that paid")]
    Proof,
    /// Paid to a stranger.
    #[error("the recipient is none of our addresses")]
    NotOurs,
    /// Paid to another address of ours.
    #[error("the recipient is not the address that was asked for")]
    OtherAddress,
    /// Another function of the contract.
    #[error("the call is no transfer of tokens")]
    OtherFunction,
    /// Another token.
    #[error("the token is not the one that was asked for")]
    OtherContract,
}

impl Invalid {
    /// Returns the stable code of this reason, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "transaction.failed",
            Self::Proof => "transaction.proof",
            Self::NotOurs => "transaction.not_to_us",
            Self::OtherAddress => "transaction.other_address",
            Self::OtherFunction => "transaction.other_function",
            Self::OtherContract => "transaction.other_contract",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "transaction.failed",
            rule: "A reverted transaction is not an answer.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "See the chain.",
        },
        Explanation {
            code: "transaction.proof",
            rule: "The proof is a personal message of the sender's chat key and the transaction's hash, signed by the wallet that paid; v is 27 or 28.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Another wallet, v 0 or 1, or the plain Keccak-256 signed.",
        },
        Explanation {
            code: "transaction.not_to_us",
            rule: "The money goes to an address of the receiver.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Someone else was paid.",
        },
        Explanation {
            code: "transaction.other_address",
            rule: "If a request names an address, the money goes there.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Another account of the receiver was paid.",
        },
        Explanation {
            code: "transaction.other_function",
            rule: "Tokens are moved by transfer(address,uint256), selector a9059cbb.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "A transferFrom, or another contract.",
        },
        Explanation {
            code: "transaction.other_contract",
            rule: "If a request names a token, the called contract is that one; the texts are compared in lower case.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Capitals in the request: with them, nothing matches.",
        },
    ];
}

/// Why a transaction can't be compared with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incomparable {
    /// Call data that can't be a transfer: neither 0 nor 68 bytes.
    #[error("the transaction has {} of data; a transfer of tokens has 68", crate::text::count(.0, "byte"))]
    DataLength(usize),
    /// The amount of the request is malformed.
    #[error("the amount that was asked for is no whole number in decimal")]
    Amount,
}

impl Incomparable {
    /// Returns the stable code of this error, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::DataLength(_) => "transaction.data_length",
            Self::Amount => "transaction.amount",
        }
    }

    /// What each code means.
    pub(crate) const EXPLANATIONS: &[Explanation] = &[
        Explanation {
            code: "transaction.data_length",
            rule: "The data of a transfer of tokens has 68 bytes; ether is sent without data.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "Data that was cut.",
        },
        Explanation {
            code: "transaction.amount",
            rule: "The amount of a request is a whole number in decimal, in the smallest unit; a sign and leading zeros don't matter.",
            source: "Status specifications, Payloads; the checks are those of the reference implementation",
            causes: "0.5 ether, where 500000000000000000 was meant.",
        },
    ];
}

/// The selector of ERC-20's `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// Compares a transaction announced by `sender` with what was requested. `ours` are our
/// addresses.
///
/// # Errors
/// If the call data or the requested amount can't be compared.
pub fn validate(
    transaction: &Transaction<'_>,
    proof: &[u8],
    sender: &PublicKey,
    asked: &Asked<'_>,
    ours: &[Address],
) -> Result<Verdict, Incomparable> {
    match transaction.status {
        TransactionStatus::Pending => return Ok(Verdict::Pending),
        TransactionStatus::Failed => return Ok(Verdict::Invalid(Invalid::Failed)),
        TransactionStatus::Mined => {}
    }
    if !is_proven(transaction, proof, sender) {
        return Ok(Verdict::Invalid(Invalid::Proof));
    }
    let (to, contract, value) = match transaction.data {
        [] => (transaction.to, None, transaction.value),
        data => {
            let data: &[u8; 68] =
                data.try_into().map_err(|_| Incomparable::DataLength(data.len()))?;
            let (mut to, mut value) = ([0; 20], [0; 32]);
            to.copy_from_slice(&data[16..36]);
            value.copy_from_slice(&data[36..]);
            if data[..4] != TRANSFER {
                return Ok(Verdict::Invalid(Invalid::OtherFunction));
            }
            (Address(to), Some(transaction.to), value)
        }
    };
    if !ours.contains(&to) {
        return Ok(Verdict::Invalid(Invalid::NotOurs));
    }
    // Case-sensitive, as in the reference: a request in upper case matches nothing.
    if let Some(contract) = contract.filter(|_| !asked.contract.is_empty())
        && asked.contract != lower_case(&contract)
    {
        return Ok(Verdict::Invalid(Invalid::OtherContract));
    }
    if !asked.address.is_empty() && !asked.address.eq_ignore_ascii_case(&lower_case(&to)) {
        return Ok(Verdict::Invalid(Invalid::OtherAddress));
    }
    let came = decimal(value);
    let as_asked = !asked.value.is_empty() && is_number(asked.value, &came)?;
    // As in the reference, which shows the request for tokens.
    let value = match contract {
        Some(_) if !asked.value.is_empty() => asked.value.to_owned(),
        _ => came,
    };
    Ok(Verdict::Valid { as_asked, to, contract, value })
}

/// Returns whether a text is this number, leading zeros and a sign ignored.
fn is_number(text: &str, number: &str) -> Result<bool, Incomparable> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Incomparable::Amount);
    }
    let digits = digits.trim_start_matches('0');
    Ok((!negative || digits.is_empty()) && digits == number.trim_start_matches('0'))
}

fn is_proven(transaction: &Transaction<'_>, proof: &[u8], sender: &PublicKey) -> bool {
    let signature = <[u8; 65]>::try_from(proof).ok().map(PersonalSignature::from_bytes);
    let Some(Ok(signature)) = signature else { return false };
    let signer = signature.recover(&proof_material(sender, &transaction.hash));
    signer.is_ok_and(|signer| Address::from_key(&signer) == transaction.from)
}

/// Returns `0x` and 40 digits in lower case, as clients write addresses in commands.
pub fn lower_case(address: &Address) -> String {
    format!("0x{}", address.to_plain_hex())
}

/// Converts a big-endian number of 256 bits to decimal.
fn decimal(mut number: [u8; 32]) -> String {
    let mut digits = Vec::new();
    while digits.is_empty() || number != [0; 32] {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 10) as u8;
            rest = value % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::proto::{DeclineRequestTransaction, RequestTransaction};

    #[test]
    fn answers_need_a_request_of_ours() {
        let [peer, other] =
            [1, 2].map(|byte| SecretKey::from_bytes(&[byte; 32]).unwrap().public_key());
        let decline: PayloadMessage = DeclineRequestTransaction::default().into();
        let stored =
            StoredCommand { peer, is_ours: true, state: CommandState::TransactionRequested };
        let next = |stored: Option<StoredCommand>| next_state(&decline, &peer, stored.as_ref());
        assert_eq!(next(Some(stored)), Ok(CommandState::TransactionDeclined));
        assert_eq!(next(None), Err(CommandError::Unknown));
        assert_eq!(
            next(Some(StoredCommand { peer: other, ..stored })),
            Err(CommandError::OtherChat)
        );
        assert_eq!(
            next(Some(StoredCommand { is_ours: false, ..stored })),
            Err(CommandError::NotOurs)
        );
        for state in
            [CommandState::AddressRequested, CommandState::TransactionDeclined, CommandState::Sent]
        {
            assert_eq!(next(Some(StoredCommand { state, ..stored })), Err(CommandError::State));
        }
        let request = RequestTransaction::default().into();
        assert_eq!(next_state(&request, &peer, None), Ok(CommandState::TransactionRequested));
    }

    #[test]
    fn amounts_are_compared_as_numbers() {
        let is_number = |text: &str| is_number(text, "23");
        for text in ["23", "023", "+23", "+0023"] {
            assert_eq!(is_number(text), Ok(true), "{text}");
        }
        for text in ["24", "-23", "0", "230"] {
            assert_eq!(is_number(text), Ok(false), "{text}");
        }
        for text in ["", "+", "-", "0.5", "1e18", "+-1", " 23", "0x17", "2_3"] {
            assert_eq!(is_number(text), Err(Incomparable::Amount), "{text}");
        }
        assert_eq!(super::is_number("-0", "0"), Ok(true));
    }

    #[test]
    fn the_request_is_compared_last() {
        let wallet = SecretKey::from_bytes(&[3; 32]).unwrap();
        let sender = wallet.public_key();
        let ours = [Address([9; 20])];
        let mut data = [0; 68];
        data[..4].copy_from_slice(&TRANSFER);
        data[16..36].copy_from_slice(&ours[0].0);
        data[67] = 24;
        let mut transaction = Transaction {
            hash: [1; 32],
            from: Address::from_key(&sender),
            to: Address([7; 20]),
            value: [0; 32],
            data: &data,
            status: TransactionStatus::Mined,
        };
        let proof = prove(&sender, &transaction.hash, &wallet);
        let compare = |transaction: &Transaction<'_>, value| {
            let asked = Asked { value, ..Asked::default() };
            validate(transaction, proof.as_bytes(), &sender, &asked, &ours)
        };
        let valid = |as_asked, contract, value: &str| {
            Ok(Verdict::Valid { as_asked, to: ours[0], contract, value: value.to_owned() })
        };
        // The amount is the requested one for tokens, the received one for ether.
        let token = Some(transaction.to);
        for (asked, as_asked, value) in
            [("23", false, "23"), ("024", true, "024"), ("24", true, "24"), ("", false, "24")]
        {
            assert_eq!(compare(&transaction, asked), valid(as_asked, token, value), "{asked}");
        }
        assert_eq!(compare(&transaction, "0.5"), Err(Incomparable::Amount));
        (transaction.data, transaction.to, transaction.value[31]) = (&[], ours[0], 24);
        for (asked, as_asked) in [("23", false), ("024", true), ("", false)] {
            assert_eq!(compare(&transaction, asked), valid(as_asked, None, "24"), "{asked}");
        }
        assert_eq!(compare(&transaction, "0.5"), Err(Incomparable::Amount));
        // An invalid transaction is invalid, whatever was requested.
        transaction.to = Address([8; 20]);
        assert_eq!(compare(&transaction, "0.5"), Ok(Verdict::Invalid(Invalid::NotOurs)));
    }

    #[test]
    fn amounts_in_decimal() {
        assert_eq!(decimal([0; 32]), "0");
        let mut number = [0; 32];
        number[30..].copy_from_slice(&1000_u16.to_be_bytes());
        assert_eq!(decimal(number), "1000");
        let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(decimal([0xff; 32]), max);
    }
}
