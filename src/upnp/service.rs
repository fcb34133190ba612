//! What a service is: its actions, arguments and state variables as static tables (UPnP Device Architecture 1.0, 2.3). The
//! description that control points read, the check of what they ask, and the order of what they are answered all come from
//! the same table. Pure; whoever fulfils the actions is a [`Handler`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use tokio::sync::watch;
use tracing::error;

use crate::error::{Error, Kind};
use crate::offer::Caller;
use crate::wire::last_change::{self, Changed};

/// A service of a device.
#[derive(Debug)]
pub struct Service {
    /// Its type: `urn:schemas-upnp-org:service:ConnectionManager:1`.
    pub kind: &'static str,
    /// `urn:upnp-org:serviceId:ConnectionManager`.
    pub id: &'static str,
    /// Its part of the paths below `/upnp/<device>/`: small letters, digits, hyphens.
    pub path: &'static str,
    /// What can be asked of it.
    pub actions: &'static [Action],
    /// Its state; every argument relates to one of these.
    pub variables: &'static [Variable],
}

/// Something that a control point may ask.
#[derive(Debug)]
pub struct Action {
    /// `GetProtocolInfo`.
    pub name: &'static str,
    /// First what it takes, then what it answers, each in the order of the description.
    pub arguments: &'static [Argument],
}

/// A value that an action takes or answers.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Other names under which it is taken as well; each names the device it serves where it is listed.
    pub also: &'static [&'static str],
    /// Which way it goes.
    pub direction: Direction,
    /// The name of the state variable that gives its type and limits.
    pub variable: &'static str,
    /// What is taken when it is missing; `None`: then the call is refused with 402.
    pub absent: Option<&'static str>,
}

/// Which way an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the control point.
    In,
    /// To the control point.
    Out,
}

impl Argument {
    /// Returns an argument that an action takes.
    pub const fn takes(name: &'static str, variable: &'static str) -> Argument {
        Argument { name, also: &[], direction: Direction::In, variable, absent: None }
    }

    /// Returns an argument that an action answers.
    pub const fn gives(name: &'static str, variable: &'static str) -> Argument {
        Argument { name, also: &[], direction: Direction::Out, variable, absent: None }
    }

    /// Takes it under other names as well.
    pub const fn also(self, names: &'static [&'static str]) -> Argument {
        Argument { also: names, ..self }
    }

    /// Takes this value when the argument is missing.
    pub const fn or(self, value: &'static str) -> Argument {
        Argument { absent: Some(value), ..self }
    }
}

/// A state variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name; those that are only types of arguments begin with `A_ARG_TYPE_`.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Whether subscribers are told.
    pub evented: bool,
    /// The only values it has; empty: any.
    pub allowed: &'static [&'static str],
    /// Smallest value, largest value, step.
    pub range: Option<(i64, i64, i64)>,
    /// The code of a value that `allowed` or `range` refuses; `None`: 600 and 601.
    pub refused: Option<u16>,
}

/// The type of a value (UPnP Device Architecture 1.0, 2.3), by UPnP's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `string`.
    Text,
    /// `uri`.
    Uri,
    /// `bin.base64`.
    Base64,
    /// `ui4`: 0 to 4294967295. -1 is taken as 0, for some apps write it into an index (reference upnp 3.1).
    Ui4,
    /// `ui2`: 0 to 65535.
    Ui2,
    /// `i4`.
    I4,
    /// `i2`.
    I2,
    /// `int`.
    Int,
    /// `boolean`: taken as 0, 1, true, false, yes, no in any case; answered as 0 and 1.
    Boolean,
}

impl Type {
    /// Returns UPnP's name.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Text => "string",
            Type::Uri => "uri",
            Type::Base64 => "bin.base64",
            Type::Ui4 => "ui4",
            Type::Ui2 => "ui2",
            Type::I4 => "i4",
            Type::I2 => "i2",
            Type::Int => "int",
            Type::Boolean => "boolean",
        }
    }

    /// Returns whether its values are whole numbers.
    pub const fn is_number(self) -> bool {
        matches!(self, Type::Ui4 | Type::Ui2 | Type::I4 | Type::I2 | Type::Int)
    }

    /// Returns a value as konpo writes it, or `None` when it is not of this type.
    fn read(self, text: &str) -> Option<Cow<'_, str>> {
        let within = |least: i64, most: i64| {
            let number: i64 = text.trim().parse().ok()?;
            (least..=most).contains(&number).then(|| Cow::Owned(number.to_string()))
        };
        match self {
            Type::Text | Type::Uri | Type::Base64 => Some(Cow::Borrowed(text)),
            Type::Ui4 if text.trim() == "-1" => Some(Cow::Borrowed("0")),
            Type::Ui4 => within(0, u32::MAX.into()),
            Type::Ui2 => within(0, u16::MAX.into()),
            Type::I4 | Type::Int => within(i32::MIN.into(), i32::MAX.into()),
            Type::I2 => within(i16::MIN.into(), i16::MAX.into()),
            Type::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" => Some(Cow::Borrowed("1")),
                "0" | "false" | "no" => Some(Cow::Borrowed("0")),
                _ => None,
            },
        }
    }
}

impl Variable {
    /// Returns a variable that is not evented and has any value of its type.
    pub const fn new(name: &'static str, kind: Type) -> Variable {
        Variable { name, kind, evented: false, allowed: &[], range: None, refused: None }
    }

    /// Tells subscribers of it.
    pub const fn evented(self) -> Variable {
        Variable { evented: true, ..self }
    }

    /// Allows only these values.
    pub const fn one_of(self, allowed: &'static [&'static str]) -> Variable {
        Variable { allowed, ..self }
    }

    /// Allows only values from `least` to `most`, which both count.
    pub const fn within(self, least: i64, most: i64) -> Variable {
        Variable { range: Some((least, most, 1)), ..self }
    }

    /// Refuses other values with this code.
    pub const fn refused(self, code: u16) -> Variable {
        Variable { refused: Some(code), ..self }
    }

    /// Returns a value as it is handed on.
    ///
    /// # Errors
    /// 402 for one of another type, 600 for one that is not listed, 601 for one out of range (UPnP Device Architecture 1.0,
    /// 3.2.2), or the variable's own code.
    pub fn read<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Fault> {
        let value = self.kind.read(text).ok_or(Fault::INVALID_ARGS)?;
        if !self.allowed.is_empty() && !self.allowed.contains(&value.trim()) {
            return Err(self
                .refused
                .map_or(Fault::VALUE_INVALID, |code| Fault::new(code, "value not allowed")));
        }
        if let Some((least, most, _)) = self.range {
            let number: i64 = value.parse().map_err(|_| Fault::INVALID_ARGS)?;
            if !(least..=most).contains(&number) {
                return Err(self
                    .refused
                    .map_or(Fault::OUT_OF_RANGE, |code| Fault::new(code, "out of range")));
            }
        }
        Ok(value)
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// UPnP's code.
    pub code: u16,
    /// In words for whoever reads a log.
    pub words: Cow<'static, str>,
}

impl Fault {
    /// No such action.
    pub const INVALID_ACTION: Fault = Fault::new(401, "Invalid Action");
    /// An argument is missing or of the wrong type.
    pub const INVALID_ARGS: Fault = Fault::new(402, "Invalid Args");
    /// No such variable.
    pub const INVALID_VAR: Fault = Fault::new(404, "Invalid Var");
    /// It went wrong here.
    pub const ACTION_FAILED: Fault = Fault::new(501, "Action Failed");
    /// A value that is not allowed.
    pub const VALUE_INVALID: Fault = Fault::new(600, "Argument Value Invalid");
    /// A number beyond its range.
    pub const OUT_OF_RANGE: Fault = Fault::new(601, "Argument Value Out of Range");
    /// Not built.
    pub const NOT_IMPLEMENTED: Fault = Fault::new(602, "Optional Action Not Implemented");

    /// Returns a fault.
    pub const fn new(code: u16, words: &'static str) -> Fault {
        Fault { code, words: Cow::Borrowed(words) }
    }
}

/// The one table from konpo's errors to UPnP's codes; a service that has a better code for a kind says it itself
/// (ContentDirectory: 701 for an object that is not there, 710 for a container).
impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        let code = match error.kind() {
            Kind::Invalid => 600,
            Kind::NotFound => 701,
            Kind::NotAllowed => 606,
            Kind::Full => 603,
            Kind::Unsupported => 602,
            Kind::Busy
            | Kind::Offline
            | Kind::Unreachable
            | Kind::Damaged
            | Kind::Stopped
            | Kind::Internal => 501,
        };
        if error.kind() == Kind::Internal {
            error!(%error, "an action failed");
        }
        Fault { code, words: error.to_string().into() }
    }
}

/// The values that an action takes, each checked and written as its type says; always all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given(Vec<(&'static str, String)>);

impl Given {
    /// Returns a text. An argument that the table does not have is empty.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        debug_assert!(found.is_some(), "the table has no argument {name}");
        found.map_or("", |(_, value)| value)
    }

    /// Returns a number of type ui4 or ui2.
    pub fn number(&self, name: &str) -> u32 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Returns a number of type i4, i2 or int.
    pub fn signed(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Returns a truth.
    pub fn truth(&self, name: &str) -> bool {
        self.text(name) == "1"
    }
}

/// The values that an action answers, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments(Vec<(&'static str, String)>);

impl Arguments {
    /// Returns none.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    /// Adds a text or a number.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Arguments {
        self.0.push((name, value.to_string()));
        self
    }

    /// Adds a text without copying it.
    pub fn with_text(mut self, name: &'static str, value: String) -> Arguments {
        self.0.push((name, value));
        self
    }

    /// Adds a truth.
    pub fn with_truth(self, name: &'static str, value: bool) -> Arguments {
        self.with(name, u8::from(value))
    }
}

impl Service {
    /// Returns an action and its arguments as its handler gets them. Unknown arguments and any order are tolerated
    /// (reference upnp 3.1).
    ///
    /// # Errors
    /// 401 for an action that is not there, 402 for a missing argument, and those of [`Variable::read`].
    pub fn check(
        &'static self,
        action: &str,
        given: &HashMap<String, String>,
    ) -> Result<(&'static Action, Given), Fault> {
        let action = self.actions.iter().find(|known| known.name == action).ok_or(Fault::INVALID_ACTION)?;
        let mut checked = Vec::new();
        for argument in action.takes() {
            let other = || argument.also.iter().find_map(|name| given.get(*name));
            let text = given.get(argument.name).or_else(other).map(String::as_str).or(argument.absent);
            let text = text.ok_or(Fault::INVALID_ARGS)?;
            let variable = self.variable(argument.variable).ok_or(Fault::ACTION_FAILED)?;
            checked.push((argument.name, variable.read(text)?.into_owned()));
        }
        Ok((action, Given(checked)))
    }

    /// Returns what an action answers, every argument in the order of the description.
    ///
    /// # Errors
    /// 501 when its handler left one out.
    pub fn ordered<'a>(
        &self,
        action: &Action,
        answer: &'a Arguments,
    ) -> Result<Vec<(&'static str, &'a str)>, Fault> {
        let find = |argument: &Argument| {
            let value = answer.0.iter().find(|(name, _)| *name == argument.name);
            if value.is_none() {
                error!(action = action.name, argument = argument.name, "an answer lacks an argument");
            }
            value.map(|(_, text)| (argument.name, text.as_str())).ok_or(Fault::ACTION_FAILED)
        };
        action.gives().map(find).collect()
    }

    /// Returns a state variable.
    pub fn variable(&self, name: &str) -> Option<&'static Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }
}

impl Action {
    /// Returns what it takes.
    pub fn takes(&self) -> impl Iterator<Item = &'static Argument> + use<> {
        self.arguments.iter().filter(|argument| argument.direction == Direction::In)
    }

    /// Returns what it answers.
    pub fn gives(&self) -> impl Iterator<Item = &'static Argument> + use<> {
        self.arguments.iter().filter(|argument| argument.direction == Direction::Out)
    }
}

/// One call of an action.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Which.
    pub action: &'static Action,
    /// What was given, checked.
    pub given: Given,
    /// Who asks: the right of the room, by UPnP.
    pub caller: Caller,
    /// Our address and port that were asked, a literal IPv4 address of the interface on which the call came in: every URL
    /// in the answer begins with it (reference upnp 0, row 6).
    pub host: SocketAddrV4,
    /// The address of who asks.
    pub peer: IpAddr,
    /// The headers of the request: `user-agent`, `x-av-client-info` tell the device for the table of quirks.
    pub headers: &'a HeaderMap,
}

/// Fulfils the actions of one service.
pub trait Handler: Send + Sync + 'static {
    /// Fulfils one action within 30 s, better within 5 s: control points give up then.
    ///
    /// # Errors
    /// The fault that the control point is told.
    ///
    /// # Cancel
    /// A control point that hangs up drops the future.
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>>;

    /// Returns the evented variables, every one of the table, as they are now. What changes is told to subscribers at most
    /// every 200 ms, so a publisher need not wait; the sender must live as long as the handler.
    fn variables(&self) -> watch::Receiver<Values>;
}

/// Stands in the values of variables for our address and port: each subscriber is told the one by which it asked (reference
/// upnp 0, row 6). No URL of anybody leads there (RFC 1122, 3.2.1.3).
pub const HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// Returns a text with our address in the place of [`HERE`].
pub fn at_host(text: &str, host: SocketAddrV4) -> Cow<'_, str> {
    let here = format!("http://{HERE}/");
    if text.contains(&here) {
        Cow::Owned(text.replace(&here, &format!("http://{host}/")))
    } else {
        Cow::Borrowed(text)
    }
}

/// Evented variables with their values.
pub type Values = Arc<Vec<(&'static str, Value)>>;

/// The value of an evented variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Told whole whenever it differs from what a subscriber was last told, with our address for [`HERE`].
    Text(String),
    /// Numbers by key, such as ContainerUpdateIDs: a subscriber is told `key,number,key,number` of those that differ from
    /// what it was last told, and nothing at all in its first event (ContentDirectory:1, 2.5.21). A key that is left out
    /// is not told. Keys have no comma.
    Pairs(Arc<BTreeMap<Arc<str>, u32>>),
    /// The variables of AVTransport or RenderingControl: a subscriber is told a document of those that differ from what it
    /// was last told, and of all in its first event.
    LastChange(Arc<LastChange>),
}

/// The variables that LastChange tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastChange {
    /// The namespace of the document.
    pub space: &'static str,
    /// The variables, always the same ones.
    pub variables: Vec<Told>,
}

/// A variable in LastChange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub name: &'static str,
    /// The channel that it is of.
    pub channel: Option<&'static str>,
    /// Its value.
    pub value: String,
    /// Which instance the value is of: another one is told though the value is the same, such as one song twice.
    pub of: u64,
}

impl LastChange {
    /// Returns the document of what differs from an earlier value; `None` when nothing does.
    pub fn since(&self, before: Option<&Value>) -> Option<String> {
        let before = match before {
            Some(Value::LastChange(before)) => before.variables.as_slice(),
            _ => &[],
        };
        let mut changed = self.variables.iter().filter(|told| !before.contains(told)).peekable();
        changed.peek()?;
        let changed =
            changed.map(|Told { name, channel, value, of: _ }| Changed { name, channel: *channel, value });
        Some(last_change::document(self.space, changed))
    }
}

impl Value {
    /// Returns a text or a number.
    pub fn of(value: impl Display) -> Value {
        Value::Text(value.to_string())
    }
}
