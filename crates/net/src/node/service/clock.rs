//! Where the service takes the time from.

use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::node::Time;

/// A clock: UNIX time.
///
/// It must move on by itself, in step with real time: the waits in between are real.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::from_fn(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
        })
    }

    /// A clock that shows `start` now, and goes on from there.
    pub fn starting_at(start: Time) -> Self {
        let began = Instant::now();
        Self::from_fn(move || start + began.elapsed())
    }

    /// Any other.
    pub fn from_fn(now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Time {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
