//! AVTransport:1 as a table (reference upnp 3.3). Only LastChange is evented; recording is not built.

use crate::upnp::service::{Action, Argument, Service, Type, Variable};

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:schemas-upnp-org:service:AVTransport:1",
    id: "urn:upnp-org:serviceId:AVTransport",
    path: "transport",
    actions: &[
        Action {
            name: "SetAVTransportURI",
            arguments: &[
                INSTANCE,
                Argument::takes("CurrentURI", "AVTransportURI"),
                Argument::takes("CurrentURIMetaData", "AVTransportURIMetaData").or(""),
            ],
        },
        Action {
            name: "SetNextAVTransportURI",
            arguments: &[
                INSTANCE,
                Argument::takes("NextURI", "NextAVTransportURI"),
                Argument::takes("NextURIMetaData", "NextAVTransportURIMetaData").or(""),
            ],
        },
        Action {
            name: "GetMediaInfo",
            arguments: &[
                INSTANCE,
                Argument::gives("NrTracks", "NumberOfTracks"),
                Argument::gives("MediaDuration", "CurrentMediaDuration"),
                Argument::gives("CurrentURI", "AVTransportURI"),
                Argument::gives("CurrentURIMetaData", "AVTransportURIMetaData"),
                Argument::gives("NextURI", "NextAVTransportURI"),
                Argument::gives("NextURIMetaData", "NextAVTransportURIMetaData"),
                Argument::gives("PlayMedium", "PlaybackStorageMedium"),
                Argument::gives("RecordMedium", "RecordStorageMedium"),
                Argument::gives("WriteStatus", "RecordMediumWriteStatus"),
            ],
        },
        Action {
            name: "GetTransportInfo",
            arguments: &[
                INSTANCE,
                Argument::gives("CurrentTransportState", "TransportState"),
                Argument::gives("CurrentTransportStatus", "TransportStatus"),
                Argument::gives("CurrentSpeed", "TransportPlaySpeed"),
            ],
        },
        Action {
            name: "GetPositionInfo",
            arguments: &[
                INSTANCE,
                Argument::gives("Track", "CurrentTrack"),
                Argument::gives("TrackDuration", "CurrentTrackDuration"),
                Argument::gives("TrackMetaData", "CurrentTrackMetaData"),
                Argument::gives("TrackURI", "CurrentTrackURI"),
                Argument::gives("RelTime", "RelativeTimePosition"),
                Argument::gives("AbsTime", "AbsoluteTimePosition"),
                Argument::gives("RelCount", "RelativeCounterPosition"),
                Argument::gives("AbsCount", "AbsoluteCounterPosition"),
            ],
        },
        Action {
            name: "GetDeviceCapabilities",
            arguments: &[
                INSTANCE,
                Argument::gives("PlayMedia", "PossiblePlaybackStorageMedia"),
                Argument::gives("RecMedia", "PossibleRecordStorageMedia"),
                Argument::gives("RecQualityModes", "PossibleRecordQualityModes"),
            ],
        },
        Action {
            name: "GetTransportSettings",
            arguments: &[
                INSTANCE,
                Argument::gives("PlayMode", "CurrentPlayMode"),
                Argument::gives("RecQualityMode", "CurrentRecordQualityMode"),
            ],
        },
        Action {
            name: "GetCurrentTransportActions",
            arguments: &[INSTANCE, Argument::gives("Actions", "CurrentTransportActions")],
        },
        Action { name: "Stop", arguments: &[INSTANCE] },
        Action {
            name: "Play",
            arguments: &[INSTANCE, Argument::takes("Speed", "TransportPlaySpeed").or("1")],
        },
        Action { name: "Pause", arguments: &[INSTANCE] },
        Action {
            name: "Seek",
            arguments: &[
                INSTANCE,
                Argument::takes("Unit", "A_ARG_TYPE_SeekMode"),
                Argument::takes("Target", "A_ARG_TYPE_SeekTarget"),
            ],
        },
        Action { name: "Next", arguments: &[INSTANCE] },
        Action { name: "Previous", arguments: &[INSTANCE] },
        Action {
            name: "SetPlayMode",
            arguments: &[INSTANCE, Argument::takes("NewPlayMode", "CurrentPlayMode")],
        },
    ],
    variables: &[
        Variable::new("LastChange", Type::Text).evented(),
        Variable::new("TransportState", Type::Text).one_of(&[
            "STOPPED",
            "PLAYING",
            "TRANSITIONING",
            "PAUSED_PLAYBACK",
            "NO_MEDIA_PRESENT",
        ]),
        Variable::new("TransportStatus", Type::Text).one_of(&["OK", "ERROR_OCCURRED"]),
        Variable::new("PlaybackStorageMedium", Type::Text).one_of(&["NETWORK", "NONE"]),
        Variable::new("RecordStorageMedium", Type::Text).one_of(&["NOT_IMPLEMENTED"]),
        Variable::new("PossiblePlaybackStorageMedia", Type::Text),
        Variable::new("PossibleRecordStorageMedia", Type::Text),
        Variable::new("CurrentPlayMode", Type::Text)
            .one_of(&["NORMAL", "SHUFFLE", "REPEAT_ONE", "REPEAT_ALL"])
            .refused(712),
        // 1/1 and 1.0 are taken as well, so nothing is listed as allowed.
        Variable::new("TransportPlaySpeed", Type::Text),
        Variable::new("RecordMediumWriteStatus", Type::Text).one_of(&["NOT_IMPLEMENTED"]),
        Variable::new("CurrentRecordQualityMode", Type::Text).one_of(&["NOT_IMPLEMENTED"]),
        Variable::new("PossibleRecordQualityModes", Type::Text),
        Variable::new("NumberOfTracks", Type::Ui4).within(0, 1),
        Variable::new("CurrentTrack", Type::Ui4).within(0, 1),
        Variable::new("CurrentTrackDuration", Type::Text),
        Variable::new("CurrentMediaDuration", Type::Text),
        Variable::new("CurrentTrackMetaData", Type::Text),
        Variable::new("CurrentTrackURI", Type::Text),
        Variable::new("AVTransportURI", Type::Text),
        Variable::new("AVTransportURIMetaData", Type::Text),
        Variable::new("NextAVTransportURI", Type::Text),
        Variable::new("NextAVTransportURIMetaData", Type::Text),
        Variable::new("RelativeTimePosition", Type::Text),
        Variable::new("AbsoluteTimePosition", Type::Text),
        Variable::new("RelativeCounterPosition", Type::I4),
        Variable::new("AbsoluteCounterPosition", Type::I4),
        Variable::new("CurrentTransportActions", Type::Text),
        Variable::new("A_ARG_TYPE_SeekMode", Type::Text)
            .one_of(&["TRACK_NR", "REL_TIME", "ABS_TIME"])
            .refused(710),
        Variable::new("A_ARG_TYPE_SeekTarget", Type::Text),
        Variable::new("A_ARG_TYPE_InstanceID", Type::Ui4),
    ],
};

const INSTANCE: Argument = Argument::takes("InstanceID", "A_ARG_TYPE_InstanceID").or("0");
