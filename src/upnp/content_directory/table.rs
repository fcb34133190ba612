//! The tables of ContentDirectory (UPnP ContentDirectory:1, 2.5 and 2.7; of version 2 and 3 what costs nothing; Samsung's
//! own; reference upnp 3.6).

use crate::upnp::service::{Action, Argument, Service, Type, Variable};

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:schemas-upnp-org:service:ContentDirectory:1",
    id: "urn:upnp-org:serviceId:ContentDirectory",
    path: "content-directory",
    actions: &ACTIONS,
    variables: &VARIABLES,
};

const fn out(name: &'static str, variable: &'static str) -> [Argument; 1] {
    [Argument::gives(name, variable)]
}

static SEARCH_CAPABILITIES: [Argument; 1] = out("SearchCaps", "SearchCapabilities");
static SORT_CAPABILITIES: [Argument; 1] = out("SortCaps", "SortCapabilities");
static SORT_EXTENSIONS: [Argument; 1] = out("SortExtensionCaps", "SortExtensionCapabilities");
static SYSTEM_UPDATE: [Argument; 1] = out("Id", "SystemUpdateID");
static FEATURES: [Argument; 1] = out("FeatureList", "FeatureList");
static RESET_TOKEN: [Argument; 1] = out("ResetToken", "ServiceResetToken");
static SAMSUNG_FEATURES: [Argument; 1] = out("FeatureList", "A_ARG_TYPE_Featurelist");

static BROWSE: [Argument; 10] = [
    // The Xbox 360 asks for a container where it means an object.
    Argument::takes("ObjectID", "A_ARG_TYPE_ObjectID").also(&["ContainerID"]),
    Argument::takes("BrowseFlag", "A_ARG_TYPE_BrowseFlag"),
    Argument::takes("Filter", "A_ARG_TYPE_Filter").or("*"),
    Argument::takes("StartingIndex", "A_ARG_TYPE_Index").or("0"),
    Argument::takes("RequestedCount", "A_ARG_TYPE_Count").or("0"),
    Argument::takes("SortCriteria", "A_ARG_TYPE_SortCriteria").or(""),
    Argument::gives("Result", "A_ARG_TYPE_Result"),
    Argument::gives("NumberReturned", "A_ARG_TYPE_Count"),
    Argument::gives("TotalMatches", "A_ARG_TYPE_Count"),
    Argument::gives("UpdateID", "A_ARG_TYPE_UpdateID"),
];

static SEARCH: [Argument; 10] = [
    Argument::takes("ContainerID", "A_ARG_TYPE_ObjectID").also(&["ObjectID"]),
    Argument::takes("SearchCriteria", "A_ARG_TYPE_SearchCriteria"),
    Argument::takes("Filter", "A_ARG_TYPE_Filter").or("*"),
    Argument::takes("StartingIndex", "A_ARG_TYPE_Index").or("0"),
    Argument::takes("RequestedCount", "A_ARG_TYPE_Count").or("0"),
    Argument::takes("SortCriteria", "A_ARG_TYPE_SortCriteria").or(""),
    Argument::gives("Result", "A_ARG_TYPE_Result"),
    Argument::gives("NumberReturned", "A_ARG_TYPE_Count"),
    Argument::gives("TotalMatches", "A_ARG_TYPE_Count"),
    Argument::gives("UpdateID", "A_ARG_TYPE_UpdateID"),
];

static SET_BOOKMARK: [Argument; 4] = [
    Argument::takes("CategoryType", "A_ARG_TYPE_CategoryType").or(""),
    Argument::takes("RID", "A_ARG_TYPE_RID").or(""),
    Argument::takes("ObjectID", "A_ARG_TYPE_ObjectID").or(""),
    Argument::takes("PosSecond", "A_ARG_TYPE_PosSec").or("0"),
];

static ID_FROM_INDEX: [Argument; 3] = [
    Argument::takes("CategoryType", "A_ARG_TYPE_CategoryType"),
    Argument::takes("Index", "A_ARG_TYPE_Index"),
    Argument::gives("ObjectID", "A_ARG_TYPE_ObjectID"),
];

static INDEX_FROM_RID: [Argument; 3] = [
    Argument::takes("CategoryType", "A_ARG_TYPE_CategoryType"),
    Argument::takes("RID", "A_ARG_TYPE_RID"),
    Argument::gives("Index", "A_ARG_TYPE_Index"),
];

static ACTIONS: [Action; 12] = [
    Action { name: "GetSearchCapabilities", arguments: &SEARCH_CAPABILITIES },
    Action { name: "GetSortCapabilities", arguments: &SORT_CAPABILITIES },
    Action { name: "GetSortExtensionCapabilities", arguments: &SORT_EXTENSIONS },
    Action { name: "GetSystemUpdateID", arguments: &SYSTEM_UPDATE },
    Action { name: "GetFeatureList", arguments: &FEATURES },
    Action { name: "GetServiceResetToken", arguments: &RESET_TOKEN },
    Action { name: "Browse", arguments: &BROWSE },
    Action { name: "Search", arguments: &SEARCH },
    // Samsung TVs ask this before they browse, and stop playing when it is refused.
    Action { name: "X_GetFeatureList", arguments: &SAMSUNG_FEATURES },
    Action { name: "X_SetBookmark", arguments: &SET_BOOKMARK },
    Action { name: "X_GetObjectIDfromIndex", arguments: &ID_FROM_INDEX },
    Action { name: "X_GetIndexfromRID", arguments: &INDEX_FROM_RID },
];

static VARIABLES: [Variable; 20] = [
    Variable::new("SystemUpdateID", Type::Ui4).evented(),
    Variable::new("ContainerUpdateIDs", Type::Text).evented(),
    Variable::new("SearchCapabilities", Type::Text),
    Variable::new("SortCapabilities", Type::Text),
    Variable::new("SortExtensionCapabilities", Type::Text),
    Variable::new("FeatureList", Type::Text),
    Variable::new("ServiceResetToken", Type::Text),
    Variable::new("A_ARG_TYPE_ObjectID", Type::Text),
    Variable::new("A_ARG_TYPE_Result", Type::Text),
    Variable::new("A_ARG_TYPE_SearchCriteria", Type::Text),
    // Another flag is a wrong argument (reference upnp 5.4).
    Variable::new("A_ARG_TYPE_BrowseFlag", Type::Text)
        .one_of(&["BrowseMetadata", "BrowseDirectChildren"])
        .refused(402),
    Variable::new("A_ARG_TYPE_Filter", Type::Text),
    Variable::new("A_ARG_TYPE_SortCriteria", Type::Text),
    Variable::new("A_ARG_TYPE_Index", Type::Ui4),
    Variable::new("A_ARG_TYPE_Count", Type::Ui4),
    Variable::new("A_ARG_TYPE_UpdateID", Type::Ui4),
    Variable::new("A_ARG_TYPE_Featurelist", Type::Text),
    Variable::new("A_ARG_TYPE_CategoryType", Type::Text),
    Variable::new("A_ARG_TYPE_RID", Type::Text),
    Variable::new("A_ARG_TYPE_PosSec", Type::Text),
];

/// What GetFeatureList answers, in the shortest form that is valid, with the lists that apps offer by name
/// (ContentDirectory:2, appendix E; the shortcuts of ContentDirectory:4).
pub const FEATURE_LIST: &str = "<Features xmlns=\"urn:schemas-upnp-org:av:avs\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
    xsi:schemaLocation=\"urn:schemas-upnp-org:av:avs http://www.upnp.org/schemas/av/avs.xsd\">\
    <Feature name=\"CONTAINER_SHORTCUTS\" version=\"1\"><shortcutlist>\
    <shortcut><name>MUSIC_ARTISTS</name><objectID>artists</objectID></shortcut>\
    <shortcut><name>MUSIC_ALBUMS</name><objectID>albums</objectID></shortcut>\
    <shortcut><name>MUSIC_GENRES</name><objectID>genres</objectID></shortcut>\
    <shortcut><name>MUSIC_RECENTLY_ADDED</name><objectID>recent</objectID></shortcut>\
    <shortcut><name>MUSIC_ALL</name><objectID>tracks</objectID></shortcut>\
    <shortcut><name>MUSIC_PLAYLISTS</name><objectID>playlists</objectID></shortcut>\
    <shortcut><name>MUSIC_FOLDER_STRUCTURE</name><objectID>folders</objectID></shortcut>\
    </shortcutlist></Feature></Features>";

/// What X_GetFeatureList answers: the containers a Samsung TV begins at (reference upnp 5.6).
pub const SAMSUNG_FEATURE_LIST: &str = "<Features xmlns=\"urn:schemas-upnp-org:av:avs\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
    xsi:schemaLocation=\"urn:schemas-upnp-org:av:avs http://www.upnp.org/schemas/av/avs.xsd\">\
    <Feature name=\"samsung.com_BASICVIEW\" version=\"1\">\
    <container id=\"A\" type=\"object.item.audioItem\"/>\
    <container id=\"V\" type=\"object.item.videoItem\"/>\
    <container id=\"I\" type=\"object.item.imageItem\"/>\
    </Feature></Features>";
