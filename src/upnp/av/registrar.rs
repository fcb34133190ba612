//! X_MS_MediaReceiverRegistrar:1 (reference upnp 3.7): Windows and Xbox ask it whether they may; everybody may.

use crate::upnp::av::Constant;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};

/// Returns the service.
pub fn handler() -> Constant {
    let values = EVENTED.map(|name| (name, Value::of(0)));
    Constant::new(values.into(), |call: &Call<'_>| match call.action.name {
        "IsAuthorized" | "IsValidated" => Ok(Arguments::new().with("Result", 1)),
        "RegisterDevice" => Ok(Arguments::new().with("RegistrationRespMsg", "")),
        _ => Err(Fault::INVALID_ACTION),
    })
}

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:microsoft.com:service:X_MS_MediaReceiverRegistrar:1",
    id: "urn:microsoft.com:serviceId:X_MS_MediaReceiverRegistrar",
    path: "media-receiver-registrar",
    actions: &[
        Action {
            name: "IsAuthorized",
            arguments: &[
                Argument::takes("DeviceID", "A_ARG_TYPE_DeviceID"),
                Argument::gives("Result", "A_ARG_TYPE_Result"),
            ],
        },
        Action {
            name: "IsValidated",
            arguments: &[
                Argument::takes("DeviceID", "A_ARG_TYPE_DeviceID"),
                Argument::gives("Result", "A_ARG_TYPE_Result"),
            ],
        },
        Action {
            name: "RegisterDevice",
            arguments: &[
                Argument::takes("RegistrationReqMsg", "A_ARG_TYPE_RegistrationReqMsg"),
                Argument::gives("RegistrationRespMsg", "A_ARG_TYPE_RegistrationRespMsg"),
            ],
        },
    ],
    variables: &[
        Variable::new("AuthorizationGrantedUpdateID", Type::Ui4).evented(),
        Variable::new("AuthorizationDeniedUpdateID", Type::Ui4).evented(),
        Variable::new("ValidationSucceededUpdateID", Type::Ui4).evented(),
        Variable::new("ValidationRevokedUpdateID", Type::Ui4).evented(),
        Variable::new("A_ARG_TYPE_DeviceID", Type::Text),
        Variable::new("A_ARG_TYPE_Result", Type::Int),
        Variable::new("A_ARG_TYPE_RegistrationReqMsg", Type::Base64),
        Variable::new("A_ARG_TYPE_RegistrationRespMsg", Type::Base64),
    ],
};

const EVENTED: [&str; 4] = [
    "AuthorizationGrantedUpdateID",
    "AuthorizationDeniedUpdateID",
    "ValidationSucceededUpdateID",
    "ValidationRevokedUpdateID",
];
