//! Product (version 2; 1 for Lumin): who the box is, its sources and which one is chosen, standby (reference upnp 3.8, 3.9).

use std::sync::Arc;

use tokio::sync::watch;

use crate::hifi::Session;
use crate::hifi::command::Command;
use crate::hifi::state::State;
use crate::upnp::openhome::{Named, Source, tell};
use crate::upnp::refusals::Asked;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, HERE, Service, Type, Value, Variable};
use crate::wire::xml::escaped;

/// What the service tells that never changes.
pub struct Product {
    named: Named,
    attributes: &'static str,
    sources: String,
}

impl Product {
    /// Returns it; without the knob there is no Volume.
    pub(super) fn new(named: Named, has_knob: bool) -> Product {
        let attributes = if has_knob { "Info Time Volume Transport" } else { "Info Time Transport" };
        Product { named, attributes, sources: source_xml() }
    }

    pub(super) async fn act(&self, call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
        let (given, answer) = (&call.given, Arguments::new());
        match call.action.name {
            "Manufacturer" | "Model" | "Product" => Ok(self.who(call)),
            "Standby" => Ok(answer.with_truth("Value", session.state().standby)),
            "SetStandby" if given.truth("Value") => tell(session, Command::Standby, Asked::Key).await,
            "SetStandby" => tell(session, Command::Wake, Asked::Key).await,
            "SourceCount" => Ok(answer.with("Value", Source::ALL.len())),
            "SourceXml" => Ok(answer.with("Value", &self.sources)),
            "SourceIndex" => Ok(answer.with("Value", Source::of(&session.state()).index())),
            "SetSourceIndex" => choose(at(given.number("Value"))?, session).await,
            "SetSourceIndexByName" => {
                choose(find(|source| source.name() == given.text("Value"))?, session).await
            }
            "SetSourceBySystemName" => {
                choose(find(|source| source.kind() == given.text("Value"))?, session).await
            }
            "Source" => {
                let source = at(given.number("Index"))?;
                Ok(answer
                    .with("SystemName", source.kind())
                    .with("Type", source.kind())
                    .with("Name", source.name())
                    .with_truth("Visible", true))
            }
            "Attributes" => Ok(answer.with("Value", self.attributes)),
            "SourceXmlChangeCount" => Ok(answer.with("Value", 0)),
            _ => Err(Fault::INVALID_ACTION),
        }
    }

    /// Answers one of the three actions that name the box.
    fn who(&self, call: &Call<'_>) -> Arguments {
        let image = format!("http://{}{ICON}", call.host);
        let answer = Arguments::new().with("Url", "").with("ImageUri", image);
        let (name, product) = (self.named.name.borrow().clone(), &self.named.product);
        match call.action.name {
            "Product" => answer.with("Room", &*name).with("Name", product).with("Info", WORDS),
            "Model" => answer.with("Name", product).with("Info", WORDS),
            _ => answer.with("Name", product).with("Info", ""),
        }
    }

    /// Returns what the box is called, to be followed.
    pub(super) fn name(&self) -> watch::Receiver<Arc<str>> {
        self.named.name.clone()
    }

    /// Returns the evented variables, in the order of the table.
    pub(super) fn values(&self, state: &State) -> Vec<(&'static str, Value)> {
        let (name, product) = (self.named.name.borrow().clone(), &self.named.product);
        let image = format!("http://{HERE}{ICON}");
        vec![
            ("ManufacturerName", Value::of(product)),
            ("ManufacturerInfo", Value::of("")),
            ("ManufacturerUrl", Value::of("")),
            ("ManufacturerImageUri", Value::of(&image)),
            ("ModelName", Value::of(product)),
            ("ModelInfo", Value::of(WORDS)),
            ("ModelUrl", Value::of("")),
            ("ModelImageUri", Value::of(&image)),
            ("ProductRoom", Value::of(&*name)),
            ("ProductName", Value::of(product)),
            ("ProductInfo", Value::of(WORDS)),
            ("ProductUrl", Value::of("")),
            ("ProductImageUri", Value::of(&image)),
            ("Standby", Value::of(u8::from(state.standby))),
            ("SourceIndex", Value::of(Source::of(state).index())),
            ("SourceCount", Value::of(Source::ALL.len())),
            ("SourceXml", Value::of(&self.sources)),
            ("Attributes", Value::of(self.attributes)),
        ]
    }
}

async fn choose(source: Source, session: &Session) -> Result<Arguments, Fault> {
    // The deck of the page is told as UPnP AV's, too: choosing what is told already changes nothing.
    if Source::of(&session.state()) == source {
        return Ok(Arguments::new());
    }
    tell(session, Command::SetInput(source.input()), Asked::Key).await
}

fn at(index: u32) -> Result<Source, Fault> {
    let found = usize::try_from(index).ok().and_then(|index| Source::ALL.get(index));
    found.copied().ok_or(NO_SOURCE)
}

fn find(is: impl Fn(&Source) -> bool) -> Result<Source, Fault> {
    Source::ALL.into_iter().find(is).ok_or(NO_SOURCE)
}

fn source_xml() -> String {
    let source = |source: Source| {
        format!(
            "<Source><Name>{}</Name><Type>{}</Type><Visible>true</Visible><SystemName>{}</SystemName></Source>",
            escaped(source.name()),
            source.kind(),
            source.kind()
        )
    };
    format!("<SourceList>{}</SourceList>", Source::ALL.map(source).concat())
}

const NO_SOURCE: Fault = Fault::new(801, "Source not found");
const ICON: &str = "/upnp/icons/120.png";
const WORDS: &str = "A hi-fi component";

/// The service as most apps want it.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Product:2",
    id: "urn:av-openhome-org:serviceId:Product",
    path: "oh-product",
    actions: &ACTIONS,
    variables: &VARIABLES,
};

/// The service as Lumin's app wants it.
pub static SERVICE_1: Service = Service {
    kind: "urn:av-openhome-org:service:Product:1",
    id: "urn:av-openhome-org:serviceId:Product",
    path: "oh-product",
    actions: ACTIONS.split_at(ACTIONS.len() - 1).0,
    variables: &VARIABLES,
};

/// The last one is of version 2.
static ACTIONS: [Action; 14] = [
    Action {
        name: "Manufacturer",
        arguments: &[
            Argument::gives("Name", "ManufacturerName"),
            Argument::gives("Info", "ManufacturerInfo"),
            Argument::gives("Url", "ManufacturerUrl"),
            Argument::gives("ImageUri", "ManufacturerImageUri"),
        ],
    },
    Action {
        name: "Model",
        arguments: &[
            Argument::gives("Name", "ModelName"),
            Argument::gives("Info", "ModelInfo"),
            Argument::gives("Url", "ModelUrl"),
            Argument::gives("ImageUri", "ModelImageUri"),
        ],
    },
    Action {
        name: "Product",
        arguments: &[
            Argument::gives("Room", "ProductRoom"),
            Argument::gives("Name", "ProductName"),
            Argument::gives("Info", "ProductInfo"),
            Argument::gives("Url", "ProductUrl"),
            Argument::gives("ImageUri", "ProductImageUri"),
        ],
    },
    Action { name: "Standby", arguments: &[Argument::gives("Value", "Standby")] },
    Action { name: "SetStandby", arguments: &[Argument::takes("Value", "Standby")] },
    Action { name: "SourceCount", arguments: &[Argument::gives("Value", "SourceCount")] },
    Action { name: "SourceXml", arguments: &[Argument::gives("Value", "SourceXml")] },
    Action { name: "SourceIndex", arguments: &[Argument::gives("Value", "SourceIndex")] },
    Action { name: "SetSourceIndex", arguments: &[Argument::takes("Value", "SourceIndex")] },
    Action { name: "SetSourceIndexByName", arguments: &[Argument::takes("Value", "SourceName")] },
    Action {
        name: "Source",
        arguments: &[
            Argument::takes("Index", "SourceIndex"),
            Argument::gives("SystemName", "SourceSystemName"),
            Argument::gives("Type", "SourceType"),
            Argument::gives("Name", "SourceName"),
            Argument::gives("Visible", "SourceVisible"),
        ],
    },
    Action { name: "Attributes", arguments: &[Argument::gives("Value", "Attributes")] },
    Action { name: "SourceXmlChangeCount", arguments: &[Argument::gives("Value", "SourceXmlChangeCount")] },
    Action { name: "SetSourceBySystemName", arguments: &[Argument::takes("Value", "SourceSystemName")] },
];

static VARIABLES: [Variable; 23] = [
    Variable::new("ManufacturerName", Type::Text).evented(),
    Variable::new("ManufacturerInfo", Type::Text).evented(),
    Variable::new("ManufacturerUrl", Type::Text).evented(),
    Variable::new("ManufacturerImageUri", Type::Text).evented(),
    Variable::new("ModelName", Type::Text).evented(),
    Variable::new("ModelInfo", Type::Text).evented(),
    Variable::new("ModelUrl", Type::Text).evented(),
    Variable::new("ModelImageUri", Type::Text).evented(),
    Variable::new("ProductRoom", Type::Text).evented(),
    Variable::new("ProductName", Type::Text).evented(),
    Variable::new("ProductInfo", Type::Text).evented(),
    Variable::new("ProductUrl", Type::Text).evented(),
    Variable::new("ProductImageUri", Type::Text).evented(),
    Variable::new("Standby", Type::Boolean).evented(),
    Variable::new("SourceIndex", Type::Ui4).evented(),
    Variable::new("SourceCount", Type::Ui4).evented(),
    Variable::new("SourceXml", Type::Text).evented(),
    Variable::new("Attributes", Type::Text).evented(),
    Variable::new("SourceName", Type::Text),
    Variable::new("SourceSystemName", Type::Text),
    Variable::new("SourceType", Type::Text),
    Variable::new("SourceVisible", Type::Boolean),
    Variable::new("SourceXmlChangeCount", Type::Ui4),
];
