//! What became of the messages that were sent, for those who wait for it.

use std::collections::{HashMap, VecDeque};

use statuskit_core::payload::MessageId;

use crate::{
    delivery::Delivery,
    error::{ClientError, SendFailure},
    event::Event,
};

/// Messages that are remembered. The oldest is forgotten beyond.
const MAX_MESSAGES: usize = 4096;

/// The latest messages, and how far each got.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    order: VecDeque<MessageId>,
    messages: HashMap<MessageId, State>,
}

#[derive(Debug, Default)]
struct State {
    delivered: Option<Result<Delivery, SendFailure>>,
    acknowledged: bool,
    given_up: Option<String>,
}

impl Progress {
    /// Remembers a message from now on.
    pub fn add(&mut self, id: MessageId) {
        if self.messages.insert(id, State::default()).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    /// Notes what an event says about messages.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Delivered(delivery) => {
                for id in delivery.contents.messages() {
                    if let Some(state) = self.messages.get_mut(id) {
                        state.delivered = Some(Ok((**delivery).clone()));
                    }
                }
            }
            Event::NotSent { contents, error, .. } => {
                for id in contents.messages() {
                    if let Some(state) = self.messages.get_mut(id) {
                        state.delivered.get_or_insert_with(|| Err(error.clone()));
                    }
                }
            }
            Event::Acknowledged { ids, .. } => {
                for id in ids.iter().filter_map(|(_, id)| *id) {
                    if let Some(state) = self.messages.get_mut(&id) {
                        state.acknowledged = true;
                    }
                }
            }
            Event::GivenUp(given_up) => {
                let state = given_up.message.and_then(|id| self.messages.get_mut(&id));
                if let Some(state) = state {
                    state.given_up = Some(given_up.why.to_string());
                }
            }
            _ => {}
        }
    }

    /// Returns the outcome of a message; `None` while it is open.
    pub fn written(&self, id: MessageId) -> Option<Result<Delivery, ClientError>> {
        let Some(state) = self.messages.get(&id) else {
            return Some(Err(ClientError::UnknownMessage(id)));
        };
        match (&state.delivered, &state.given_up) {
            (Some(Ok(delivery)), _) => Some(match delivery.result() {
                Ok(()) => Ok(delivery.clone()),
                Err(error) => Err(error.into()),
            }),
            (Some(Err(error)), _) => Some(Err(error.clone().into())),
            (None, Some(why)) => Some(Err(ClientError::GivenUp(why.clone()))),
            (None, None) => None,
        }
    }

    /// Returns whether a message is acknowledged; `None` while that is open.
    pub fn acknowledged(&self, id: MessageId) -> Option<Result<(), ClientError>> {
        let Some(state) = self.messages.get(&id) else {
            return Some(Err(ClientError::UnknownMessage(id)));
        };
        match &state.given_up {
            _ if state.acknowledged => Some(Ok(())),
            Some(why) => Some(Err(ClientError::GivenUp(why.clone()))),
            None => None,
        }
    }
}
