//! Calls of functions and logs of events.

use serde_json::{Map, Value as Json};

use super::{
    AbiError, AbiErrorKind, Event, Function, Parameter, Strictness, Type, Value, decode, encode,
    is_hashed, topic_of,
};

impl Function {
    /// Encodes a call: the selector, and the arguments.
    ///
    /// # Errors
    /// If the values do not have the types of the parameters.
    pub fn encode_call(&self, arguments: &[Value]) -> Result<Vec<u8>, AbiError> {
        let mut data = self.selector().to_vec();
        data.extend_from_slice(&encode(&self.inputs, arguments)?);
        Ok(data)
    }

    /// Decodes the arguments of a call.
    ///
    /// # Errors
    /// If the data has another selector, or its rest is not an encoding of the parameters.
    pub fn decode_call(&self, data: &[u8], strictness: Strictness) -> Result<Vec<Value>, AbiError> {
        let selector = self.selector();
        let Some((found, arguments)) = data.split_first_chunk::<4>() else {
            let have = data.len() as u64;
            return Err(AbiErrorKind::Truncated { need: 4, have }.at(0));
        };
        if *found != selector {
            return Err(self.other(&selector, found));
        }
        decode(&self.inputs, arguments, strictness).map_err(|error| error.after(4))
    }

    fn other(&self, expected: &[u8], got: &[u8]) -> AbiError {
        other(self.to_string(), expected, got)
    }
}

/// A log of an event: its topics, and its data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    /// At most four.
    pub topics: Vec<[u8; 32]>,
    /// The parameters that are no topics.
    pub data: Vec<u8>,
}

/// A parameter of a log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Logged {
    /// Its value.
    Value(Value),
    /// The Keccak-256 of its value, which a topic does not hold.
    Hash([u8; 32]),
}

impl Event {
    /// Returns the number of topics of its logs.
    pub fn topic_count(&self) -> usize {
        let indexed = self.inputs.iter().filter(|input| input.is_indexed).count();
        indexed + usize::from(!self.is_anonymous)
    }

    /// Encodes a log.
    ///
    /// # Errors
    /// If the values do not have the types of the parameters, or there would be more than four
    /// topics.
    pub fn encode_log(&self, values: &[Value]) -> Result<Log, AbiError> {
        let (expected, got) = (self.inputs.len() as u64, values.len() as u64);
        if expected != got {
            return Err(AbiErrorKind::Count { expected, got }.into());
        }
        self.check_topics()?;
        let mut log = Log { topics: Vec::new(), data: Vec::new() };
        if !self.is_anonymous {
            log.topics.push(self.topic());
        }
        let (mut parameters, mut rest) = (Vec::new(), Vec::new());
        for (index, (input, value)) in self.inputs.iter().zip(values).enumerate() {
            if input.is_indexed {
                let topic = topic_of(&input.kind, value);
                log.topics.push(topic.map_err(|error| error.in_parameter(&input.name, index))?);
            } else {
                parameters.push(input.clone());
                rest.push(value.clone());
            }
        }
        log.data = encode(&parameters, &rest)?;
        Ok(log)
    }

    /// Decodes a log: one [`Logged`] for each parameter.
    ///
    /// # Errors
    /// If the topics or the data are not those of the event.
    pub fn decode_log(&self, log: &Log, strictness: Strictness) -> Result<Vec<Logged>, AbiError> {
        self.check_topics()?;
        let mut topics = log.topics.iter();
        if !self.is_anonymous {
            let (expected, found) = (self.topic(), topics.next());
            if found != Some(&expected) {
                let got = found.map_or(&[][..], |topic| topic);
                return Err(other(self.to_string(), &expected, got));
            }
        }
        if log.topics.len() != self.topic_count() {
            let (expected, got) = (self.topic_count(), log.topics.len());
            return Err(AbiErrorKind::Topics { expected, got }.into());
        }
        let plain: Vec<Parameter> =
            self.inputs.iter().filter(|input| !input.is_indexed).cloned().collect();
        let mut values = decode(&plain, &log.data, strictness)?.into_iter();
        let mut logged = Vec::with_capacity(self.inputs.len());
        for (index, input) in self.inputs.iter().enumerate() {
            let value = if !input.is_indexed {
                values.next().map(Logged::Value)
            } else {
                let topic = topics.next().copied().unwrap_or_default();
                Some(from_topic(input, topic, strictness).map_err(|error| {
                    AbiError { at: None, argument: String::new(), ..error }
                        .in_parameter(&input.name, index)
                })?)
            };
            logged.extend(value);
        }
        Ok(logged)
    }

    fn check_topics(&self) -> Result<(), AbiError> {
        let got = self.topic_count();
        if got <= 4 { Ok(()) } else { Err(AbiErrorKind::Topics { expected: 4, got }.into()) }
    }
}

impl Logged {
    /// Returns the value as JSON, or its hash as an object with the member `hash`.
    pub fn to_json(&self, kind: &Type) -> Json {
        match self {
            Self::Value(value) => value.to_json(kind),
            Self::Hash(hash) => {
                let hash = format!("0x{}", hex::encode(hash)).into();
                Json::Object(Map::from_iter([("hash".to_owned(), hash)]))
            }
        }
    }
}

fn from_topic(
    input: &Parameter,
    topic: [u8; 32],
    strictness: Strictness,
) -> Result<Logged, AbiError> {
    if is_hashed(&input.kind) {
        return Ok(Logged::Hash(topic));
    }
    let word = Parameter { name: String::new(), ..input.clone() };
    // One word is one value.
    let mut values = decode(&[word], &topic, strictness)?;
    Ok(Logged::Value(values.swap_remove(0)))
}

fn other(signature: String, expected: &[u8], got: &[u8]) -> AbiError {
    let hex0x = |bytes| format!("0x{}", hex::encode(bytes));
    AbiErrorKind::Selector { signature, expected: hex0x(expected), got: hex0x(got) }.at(0)
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::keccak256;

    use super::*;
    use crate::{U256, abi::values_from_json};

    fn values(parameters: &[Parameter], json: &str) -> Vec<Value> {
        values_from_json(parameters, &serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn indexed_values_are_words_or_hashes() {
        let event: Event =
            "E(string indexed s, (uint8 a, string b)[] indexed t, int8 indexed i, bytes d)"
                .parse()
                .unwrap();
        let json = r#"["moo", [[1, "x"], [2, ""]], -2, "0x0102"]"#;
        let log = event.encode_log(&values(&event.inputs, json)).unwrap();
        let word = |text: &[u8]| {
            let mut word = [0; 32];
            word[..text.len()].copy_from_slice(text);
            word
        };
        let one = U256::from(1_u64).to_be_bytes();
        let two = U256::from(2_u64).to_be_bytes();
        let in_place = [one, word(b"x"), two].concat();
        assert_eq!(log.topics[0], event.topic());
        assert_eq!(log.topics[1], keccak256(b"moo"));
        assert_eq!(log.topics[2], keccak256(&in_place));
        assert_eq!(log.topics[3], U256::from(2_u64).negated().to_be_bytes());
        let logged = event.decode_log(&log, Strictness::Strict).unwrap();
        assert_eq!(logged[0], Logged::Hash(log.topics[1]));
        assert_eq!(logged[2].to_json(&event.inputs[2].kind), "-2");
        assert_eq!(logged[3].to_json(&event.inputs[3].kind), "0x0102");
        let hash = logged[0].to_json(&event.inputs[0].kind);
        assert_eq!(hash["hash"], format!("0x{}", hex::encode(keccak256(b"moo"))));

        let mut wrong = log.clone();
        wrong.topics[3][0] = 0;
        let error = event.decode_log(&wrong, Strictness::Strict).unwrap_err();
        assert_eq!((error.kind.code(), &*error.argument), ("abi.padding", "i"));
        assert!(event.decode_log(&wrong, Strictness::Lenient).is_ok());
        wrong.topics.pop();
        assert_eq!(
            event.decode_log(&wrong, Strictness::Strict).unwrap_err().kind.code(),
            "abi.topics"
        );
        wrong.topics.clear();
        assert_eq!(
            event.decode_log(&wrong, Strictness::Strict).unwrap_err().kind.code(),
            "abi.selector"
        );
    }

    #[test]
    fn anonymous_events_have_no_topic_of_their_own() {
        let event: Event =
            "E(uint8 indexed a, uint8 indexed b, uint8 indexed c, uint8 indexed d) anonymous"
                .parse()
                .unwrap();
        let log = event.encode_log(&values(&event.inputs, "[1,2,3,4]")).unwrap();
        assert_eq!((log.topics.len(), log.data.len()), (4, 0));
        assert_eq!(event.decode_log(&log, Strictness::Strict).unwrap().len(), 4);
        let event: Event = event.to_string().replace("uint8", "uint8 indexed").parse().unwrap();
        assert_eq!(
            event.encode_log(&values(&event.inputs, "[1,2,3,4]")).unwrap_err().kind.code(),
            "abi.topics"
        );
    }

    #[test]
    fn calls_of_other_functions() {
        let function: Function = "transfer(address to, uint256 value)".parse().unwrap();
        let json = r#"{"value": "0x01", "to": "0x8e23ee67d1332ad560396262c48ffbb01f93d052"}"#;
        let data = function.encode_call(&values(&function.inputs, json)).unwrap();
        assert_eq!(
            hex::encode(&data),
            "a9059cbb0000000000000000000000008e23ee67d1332ad560396262c48ffbb01f93d052\
             0000000000000000000000000000000000000000000000000000000000000001"
        );
        let read = function.decode_call(&data, Strictness::Strict).unwrap();
        assert_eq!(function.encode_call(&read).unwrap(), data);
        let fails = |data: &[u8]| {
            let error = function.decode_call(data, Strictness::Strict).unwrap_err();
            (error.kind.code(), error.at, error.argument)
        };
        let with = |at: usize, byte: u8| {
            let mut data = data.clone();
            data[at] = byte;
            data
        };
        assert_eq!(fails(&data[..3]), ("abi.truncated", Some(0), String::new()));
        assert_eq!(fails(&with(0, 0)), ("abi.selector", Some(0), String::new()));
        assert_eq!(fails(&with(4, 1)), ("abi.padding", Some(4), "to".to_owned()));
        assert_eq!(fails(&data[..67]), ("abi.truncated", Some(4), String::new()));
        assert_eq!(fails(&[&*data, &[0]].concat()), ("abi.trailing", Some(68), String::new()));
    }
}
