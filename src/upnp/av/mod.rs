//! The services of UPnP AV devices beside the directory, and how one without a state of its own is fulfilled.

pub mod connection;
pub mod registrar;
pub mod renderer;
pub mod rendering;
pub mod transport;

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use crate::upnp::service::{Arguments, Call, Fault, Handler, Value, Values};

/// What answers a call at once.
type Act = dyn Fn(&Call<'_>) -> Result<Arguments, Fault> + Send + Sync;

/// A service whose answers follow from the call alone and whose variables never change.
pub struct Constant {
    act: Box<Act>,
    values: watch::Sender<Values>,
}

impl Constant {
    fn new(
        values: Vec<(&'static str, Value)>,
        act: impl Fn(&Call<'_>) -> Result<Arguments, Fault> + Send + Sync + 'static,
    ) -> Constant {
        Constant { act: Box::new(act), values: watch::Sender::new(Arc::new(values)) }
    }
}

impl Handler for Constant {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        Box::pin(ready((self.act)(&call)))
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.values.subscribe()
    }
}
