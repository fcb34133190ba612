//! ConnectionManager:1 (reference upnp 3.2): which formats a device sends or takes. The one connection, 0, is always there.

use crate::upnp::av::Constant;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};

/// Which of the two roles a device has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It sends these: a list of protocolInfo, with commas between.
    Sends(String),
    /// It takes these.
    Takes(String),
}

/// Returns the service of a device.
pub fn handler(role: Role) -> Constant {
    let (source, sink) = match &role {
        Role::Sends(list) => (list.clone(), String::new()),
        Role::Takes(list) => (String::new(), list.clone()),
    };
    let values = vec![
        ("SourceProtocolInfo", Value::of(&source)),
        ("SinkProtocolInfo", Value::of(&sink)),
        ("CurrentConnectionIDs", Value::of("0")),
    ];
    Constant::new(values, move |call: &Call<'_>| match call.action.name {
        "GetProtocolInfo" => Ok(Arguments::new().with("Source", &source).with("Sink", &sink)),
        "GetCurrentConnectionIDs" => Ok(Arguments::new().with("ConnectionIDs", "0")),
        "GetCurrentConnectionInfo" if call.given.signed("ConnectionID") == 0 => {
            // A sender has no renderer behind it; a taker's instance is 0.
            let (instance, direction) = match role {
                Role::Sends(_) => (-1, "Output"),
                Role::Takes(_) => (0, "Input"),
            };
            Ok(Arguments::new()
                .with("RcsID", instance)
                .with("AVTransportID", instance)
                .with("ProtocolInfo", "")
                .with("PeerConnectionManager", "")
                .with("PeerConnectionID", -1)
                .with("Direction", direction)
                .with("Status", "OK"))
        }
        "GetCurrentConnectionInfo" => Err(Fault::new(706, "Invalid connection reference")),
        _ => Err(Fault::INVALID_ACTION),
    })
}

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:schemas-upnp-org:service:ConnectionManager:1",
    id: "urn:upnp-org:serviceId:ConnectionManager",
    path: "connection-manager",
    actions: &[
        Action {
            name: "GetProtocolInfo",
            arguments: &[
                Argument::gives("Source", "SourceProtocolInfo"),
                Argument::gives("Sink", "SinkProtocolInfo"),
            ],
        },
        Action {
            name: "GetCurrentConnectionIDs",
            arguments: &[Argument::gives("ConnectionIDs", "CurrentConnectionIDs")],
        },
        Action {
            name: "GetCurrentConnectionInfo",
            arguments: &[
                Argument::takes("ConnectionID", "A_ARG_TYPE_ConnectionID"),
                Argument::gives("RcsID", "A_ARG_TYPE_RcsID"),
                Argument::gives("AVTransportID", "A_ARG_TYPE_AVTransportID"),
                Argument::gives("ProtocolInfo", "A_ARG_TYPE_ProtocolInfo"),
                Argument::gives("PeerConnectionManager", "A_ARG_TYPE_ConnectionManager"),
                Argument::gives("PeerConnectionID", "A_ARG_TYPE_ConnectionID"),
                Argument::gives("Direction", "A_ARG_TYPE_Direction"),
                Argument::gives("Status", "A_ARG_TYPE_ConnectionStatus"),
            ],
        },
    ],
    variables: &[
        Variable::new("SourceProtocolInfo", Type::Text).evented(),
        Variable::new("SinkProtocolInfo", Type::Text).evented(),
        Variable::new("CurrentConnectionIDs", Type::Text).evented(),
        Variable::new("A_ARG_TYPE_ConnectionStatus", Type::Text).one_of(&[
            "OK",
            "ContentFormatMismatch",
            "InsufficientBandwidth",
            "UnreliableChannel",
            "Unknown",
        ]),
        Variable::new("A_ARG_TYPE_ConnectionManager", Type::Text),
        Variable::new("A_ARG_TYPE_Direction", Type::Text).one_of(&["Input", "Output"]),
        Variable::new("A_ARG_TYPE_ProtocolInfo", Type::Text),
        Variable::new("A_ARG_TYPE_ConnectionID", Type::I4),
        Variable::new("A_ARG_TYPE_AVTransportID", Type::I4),
        Variable::new("A_ARG_TYPE_RcsID", Type::I4),
    ],
};
