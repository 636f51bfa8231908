//! Transaction commands: asking for money in a chat, and proving that it was sent.
//!
//! A conversation goes through [`CommandState`]s; the id of all its messages is that of the first
//! command. Whoever has sent the money says so with a proof: a personal message (EIP-191, version
//! `0x45`) of 97 bytes, the sender's chat key and the hash of the transaction, signed by the
//! wallet. When the transaction is mined, the receiver compares it with what was asked
//! ([`validate`]).
//!
//! Source: Status, "Payloads", with the checks of the reference (status-go v0.50.2).

use super::{proto::SendTransaction, types::PayloadMessage};
use crate::{
    account::Address,
    crypto::{PublicKey, SecretKey},
    eip::eip191::PersonalSignature,
};

/// How far a request has come; the numbers are those that clients keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum CommandState {
    AddressRequested = 1,
    AddressDeclined = 2,
    AddressAccepted = 3,
    TransactionRequested = 4,
    TransactionDeclined = 5,
    Pending = 6,
    Sent = 7,
}

/// The command that began a conversation about a transaction, as we have it stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCommand {
    /// With whom.
    pub peer: PublicKey,
    /// Whether we sent it.
    pub is_ours: bool,
    /// How far it has come.
    pub state: CommandState,
}

/// Why a command is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CommandError {
    #[error("this is no transaction command")]
    NotACommand,
    #[error("there is no command of this id")]
    Unknown,
    #[error("the command belongs to the chat with somebody else")]
    OtherChat,
    #[error("the command was not sent by us, so it is not for them to answer")]
    NotOurs,
    #[error("the command is in another state")]
    State,
}

impl CommandState {
    /// The state of a number.
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
    /// The stable code of this error, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotACommand => "transaction.not_a_command",
            Self::Unknown => "transaction.unknown",
            Self::OtherChat => "transaction.other_chat",
            Self::NotOurs => "transaction.not_ours",
            Self::State => "transaction.state",
        }
    }
}

/// The state of a conversation that `command` begins by asking for something; none if it does not.
pub fn begun(command: &PayloadMessage) -> Option<CommandState> {
    match command {
        PayloadMessage::RequestAddressForTransaction(_) => Some(CommandState::AddressRequested),
        PayloadMessage::RequestTransaction(_) => Some(CommandState::TransactionRequested),
        _ => None,
    }
}

/// The id of the command that `command` answers, by saying yes or no; none if it does not.
pub fn answered(command: &PayloadMessage) -> Option<&str> {
    match command {
        PayloadMessage::AcceptRequestAddressForTransaction(it) => Some(&it.id),
        PayloadMessage::DeclineRequestAddressForTransaction(it) => Some(&it.id),
        PayloadMessage::DeclineRequestTransaction(it) => Some(&it.id),
        _ => None,
    }
}

/// The state of a conversation after `command` of `sender`, whose checks it has passed. `stored`
/// is the command of the id that it names, if we have one.
///
/// Requests begin a conversation. A transaction that is announced is pending until it is mined,
/// whether somebody asked for it or not; then [`validate`] tells whether it was [`CommandState::Sent`].
pub fn next_state(
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

/// What the wallet signs: the sender's chat key and the hash of the transaction.
pub fn proof_material(sender: &PublicKey, transaction_hash: &[u8; 32]) -> [u8; 97] {
    let mut material = [0; 97];
    material[..65].copy_from_slice(&sender.to_uncompressed());
    material[65..].copy_from_slice(transaction_hash);
    material
}

/// The proof that the owner of `wallet` made the transaction for `sender`.
pub fn prove(
    sender: &PublicKey,
    transaction_hash: &[u8; 32],
    wallet: &SecretKey,
) -> PersonalSignature {
    PersonalSignature::sign(wallet, &proof_material(sender, transaction_hash))
}

/// The command that announces a transaction. `id` is that of the request; empty if there was none.
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

/// What was asked for; texts as they were in the request, empty if there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The amount, decimal.
    pub value: &'a str,
    /// The contract of the token; empty for ether.
    pub contract: &'a str,
    /// Where it was to be sent; empty for any address of ours.
    pub address: &'a str,
}

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// Mined, and reverted.
    Failed,
    /// Mined.
    Mined,
    /// Not mined yet.
    Pending,
}

/// A transaction as the chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// Its hash.
    pub hash: [u8; 32],
    /// Whose wallet paid.
    pub from: Address,
    /// The recipient, or the contract.
    pub to: Address,
    /// The ether that was sent: big endian.
    pub value: [u8; 32],
    /// The call, if there is one.
    pub data: &'a [u8],
    /// What has become of it.
    pub status: TransactionStatus,
}

/// What a transaction is worth as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not mined yet: ask later.
    Pending,
    /// No answer to what was asked, for this reason.
    Invalid(Invalid),
    /// Money for us.
    Valid {
        /// Whether the amount is the one that was asked for.
        as_asked: bool,
        /// Which address of ours received it.
        to: Address,
        /// The contract of the token; none for ether.
        contract: Option<Address>,
        /// The amount, decimal. Of tokens, the one that was asked for, as it was written: what
        /// came may differ, see `as_asked`.
        value: String,
    },
}

/// Why a transaction is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    #[error("the transaction failed")]
    Failed,
    #[error("the proof is not a signature of the wallet that paid")]
    Proof,
    #[error("the recipient is none of our addresses")]
    NotOurs,
    #[error("the recipient is not the address that was asked for")]
    OtherAddress,
    #[error("the call is no transfer of tokens")]
    OtherFunction,
    #[error("the token is not the one that was asked for")]
    OtherContract,
}

impl Invalid {
    /// The stable code of this reason, as the tools print it.
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
}

/// Why a transaction can't be compared with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// A call that can't be a transfer: the length of its data is neither 0 nor 68.
    #[error("the transaction has {0} bytes of data; a transfer of tokens has 68")]
    DataLength(usize),
    /// The request's.
    #[error("the amount that was asked for is no whole number in decimal")]
    Amount,
}

impl Incomparable {
    /// The stable code of this error, as the tools print it.
    pub fn code(self) -> &'static str {
        match self {
            Self::DataLength(_) => "transaction.data_length",
            Self::Amount => "transaction.amount",
        }
    }
}

/// `transfer(address,uint256)` of ERC-20.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// Compares a transaction that `sender` has announced with what was asked. `ours` are our
/// addresses.
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
    // Lower case only: a request in capitals matches nothing.
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
    // The reference's way: what is shown for tokens is the request.
    let value = match contract {
        Some(_) if !asked.value.is_empty() => asked.value.to_owned(),
        _ => came,
    };
    Ok(Verdict::Valid { as_asked, to, contract, value })
}

/// Whether a text is this number: leading zeros and a sign don't matter.
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

/// `0x` and 40 digits without capitals, as clients write addresses in commands.
pub fn lower_case(address: &Address) -> String {
    format!("0x{}", address.to_plain_hex())
}

/// A number of 256 bits, big endian, in decimal.
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
    fn what_was_asked_for_is_compared_last() {
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
        // Of tokens the amount that was asked for is given, of ether the one that came.
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
        // What is no answer is none, whatever was asked for.
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
