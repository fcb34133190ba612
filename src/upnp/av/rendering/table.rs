//! RenderingControl:1 as a table (reference upnp 3.4). Only LastChange is evented; there is one channel, and no picture.

use crate::upnp::service::{Action, Argument, Service, Type, Variable};

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:schemas-upnp-org:service:RenderingControl:1",
    id: "urn:upnp-org:serviceId:RenderingControl",
    path: "rendering",
    actions: &[
        Action {
            name: "ListPresets",
            arguments: &[INSTANCE, Argument::gives("CurrentPresetNameList", "PresetNameList")],
        },
        Action {
            name: "SelectPreset",
            arguments: &[INSTANCE, Argument::takes("PresetName", "A_ARG_TYPE_PresetName")],
        },
        Action {
            name: "GetVolume",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::gives("CurrentVolume", "Volume"),
            ],
        },
        Action {
            name: "SetVolume",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::takes("DesiredVolume", "Volume"),
            ],
        },
        Action {
            name: "GetVolumeDB",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::gives("CurrentVolume", "VolumeDB"),
            ],
        },
        Action {
            name: "SetVolumeDB",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::takes("DesiredVolume", "VolumeDB"),
            ],
        },
        Action {
            name: "GetVolumeDBRange",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::gives("MinValue", "VolumeDB"),
                Argument::gives("MaxValue", "VolumeDB"),
            ],
        },
        Action {
            name: "GetMute",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::gives("CurrentMute", "Mute"),
            ],
        },
        Action {
            name: "SetMute",
            arguments: &[
                INSTANCE,
                Argument::takes("Channel", "A_ARG_TYPE_Channel").or("Master"),
                Argument::takes("DesiredMute", "Mute"),
            ],
        },
    ],
    variables: &[
        Variable::new("LastChange", Type::Text).evented(),
        Variable::new("PresetNameList", Type::Text),
        Variable::new("Volume", Type::Ui2).within(0, 100),
        // 1/256 dB.
        Variable::new("VolumeDB", Type::I2).within(LOWEST, 0),
        Variable::new("Mute", Type::Boolean),
        Variable::new("A_ARG_TYPE_Channel", Type::Text).one_of(&["Master"]).refused(402),
        Variable::new("A_ARG_TYPE_PresetName", Type::Text).one_of(&["FactoryDefaults"]).refused(701),
        Variable::new("A_ARG_TYPE_InstanceID", Type::Ui4),
    ],
};

const INSTANCE: Argument = Argument::takes("InstanceID", "A_ARG_TYPE_InstanceID").or("0");
/// The lowest volume that is not told as silence, -60 dB in 1/256 dB.
pub const LOWEST: i64 = -15_360;
