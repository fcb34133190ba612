//! Every action of every service of the running box, against its own table (the owner's issue, b): what it answers and in
//! which order, and what it refuses with which code.

use konpo::upnp::av::{connection, registrar};
use konpo::upnp::content_directory::table;
use konpo::upnp::service::{Action, Service, Variable};
use konpo::wire::soap::{self, Reply};

use super::Stereo;
use crate::support::control_point::{ask, call};
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::wait_for;

const SERVICES: [&Service; 3] = [&connection::SERVICE, &registrar::SERVICE, &table::SERVICE];

/// Arguments that must mean something, for an answer to come at all.
const MEANT: [(&str, &str); 4] = [
    ("ObjectID", "0"),
    ("ContainerID", "0"),
    ("SearchCriteria", "*"),
    ("BrowseFlag", "BrowseDirectChildren"),
];

#[test]
fn every_action_of_the_box_answers_as_it_is_described() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::new(&hifi, super::SILENT);
    fixtures::noise(1, 44_100, 16, 44_100).flac(&konpo.music().join("One.flac"), &[("title", "R&B <One>")]);
    let konpo = Stereo::of(konpo);
    wait_for("the song is there", std::time::Duration::from_secs(20), || {
        (konpo.konpo.tracks().len() == 1).then_some(())
    });
    let to = konpo.address;
    let asked = phone.within(move || {
        let mut calls = 0;
        for service in SERVICES {
            let path = format!("/upnp/server/{}", service.path);
            let (status, _, scpd) = ask(to, &format!("GET {path}/scpd.xml HTTP/1.1"), "");
            assert_eq!(status, 200, "{path}");
            let tell = |action: &str, given: &[(&str, &str)]| {
                let (head, body) = call(&format!("{path}/control"), service.kind, action, given);
                let (status, _, text) = ask(to, &head, &body);
                match soap::parse_reply(text.as_bytes()).expect("an answer") {
                    Reply::Done(values) => {
                        assert_eq!(status, 200, "{action}");
                        Ok((values, text))
                    }
                    Reply::Fault(fault) => {
                        assert_eq!(status, 500, "{action}");
                        Err(fault.code)
                    }
                }
            };
            for action in service.actions {
                let given = usual(service, action);
                let (values, text) =
                    tell(action.name, &given).unwrap_or_else(|code| panic!("{}: {code}", action.name));
                let outs: Vec<_> = action.gives().collect();
                assert_eq!(values.len(), outs.len(), "{}: {text}", action.name);
                let places: Vec<_> = outs.iter().map(|out| text.find(&format!("<{}>", out.name))).collect();
                assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}: {text}", action.name);
                for out in outs {
                    let variable = service.variable(out.variable).expect("a variable");
                    let value = &values[out.name];
                    assert!(variable.read(value).is_ok(), "{} {}: {value}", action.name, out.name);
                    let line = format!("<name>{}</name><direction>out</direction>", out.name);
                    assert!(scpd.contains(&line), "{line}");
                }
                calls += 1;
                for (index, argument) in action.takes().enumerate() {
                    let mut without = given.clone();
                    without.remove(index);
                    let want = argument.absent.map_or(Some(402), |_| None);
                    assert_eq!(
                        tell(action.name, &without).err(),
                        want,
                        "{} without {}",
                        action.name,
                        argument.name
                    );
                    let variable = service.variable(argument.variable).expect("a variable");
                    for (value, code) in refused(variable) {
                        let mut wrong = given.clone();
                        wrong[index].1 = value;
                        assert_eq!(
                            tell(action.name, &wrong).err(),
                            Some(code),
                            "{} {}",
                            action.name,
                            argument.name
                        );
                        calls += 1;
                    }
                    calls += 1;
                }
            }
            assert_eq!(tell("NoSuchAction", &[]).err(), Some(401), "{path}");
        }
        calls
    });
    println!("{} calls of {} services answered as described", asked.join().expect("asked"), SERVICES.len());
}

fn usual(service: &Service, action: &Action) -> Vec<(&'static str, &'static str)> {
    let value = |name: &str, variable: &Variable| {
        let meant = MEANT.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        meant.unwrap_or(if variable.kind.is_number() { "0" } else { "" })
    };
    action
        .takes()
        .map(|argument| {
            (argument.name, value(argument.name, service.variable(argument.variable).expect("a variable")))
        })
        .collect()
}

/// What a variable is never, and the code that says so.
fn refused(variable: &Variable) -> Vec<(&'static str, u32)> {
    if !variable.allowed.is_empty() {
        return vec![("none of these", variable.refused.map_or(600, u32::from))];
    }
    if variable.kind.is_number() {
        vec![("x", 402), ("", 402), ("99999999999999999999", 402)]
    } else {
        Vec::new()
    }
}
