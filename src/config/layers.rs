//! Settings in layers: the defaults, what the page set, konpo.toml, the command line. Each wins over those before it, so what
//! the owner wrote by hand is never overruled by a page, and konpo.toml is never written by konpo.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The page: `<data>/settings.toml`.
    Page,
    /// konpo.toml.
    File,
    /// The command line.
    Command,
}

/// A value as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The value that holds: text, a number, or `null` for hours that are not set.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
    /// The page cannot set it: konpo.toml or the command line says it.
    pub locked: bool,
}

/// A change by the page: a key and its new value; `None` is the default again.
pub type Change = (String, Option<Value>);

/// The layers of one start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// konpo.toml and the command line.
    said: toml::Table,
    /// Keys that the command line says.
    command: Vec<&'static str>,
    /// What the page set, by `section.key`.
    page: BTreeMap<&'static str, toml::Value>,
}

impl Layers {
    /// Returns the layers of a text of konpo.toml; `file` is named in errors.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse(text: &str, file: &str) -> Result<Layers> {
        Config::parse(text, file)?;
        let said = text.parse().map_err(|error| Error::with(Kind::Invalid, format!("read {file}"), error))?;
        Ok(Layers { said, ..Layers::default() })
    }

    /// Returns the layers of a file.
    ///
    /// # Errors
    /// As [`Layers::parse`], and those of reading the file.
    pub fn read(path: &Path) -> Result<Layers> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::io(format!("read the settings {}", path.display()), error))?;
        Layers::parse(&text, &path.display().to_string())
    }

    /// Says a value on the command line.
    pub fn command(&mut self, key: &'static str, value: impl Into<toml::Value>) {
        put(&mut self.said, key, value.into());
        self.command.push(key);
    }

    /// Lays what the page set beneath. What does not go together with konpo.toml is left out, a section at a time, and what
    /// cannot be read at all is put aside; the words for the owner say so.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn lay_page(&mut self, data: &Path) -> Result<Option<String>> {
        let path = data.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("read the settings {}", path.display()), error)),
        };
        let Ok(table) = text.parse::<toml::Table>() else {
            let aside = data.join(ASIDE);
            let moved = fs::rename(&path, &aside);
            warn!(file = %path.display(), moved = moved.is_ok(), "the settings of the page cannot be read");
            return Ok(Some(format!("The settings of the page could not be read; they are in {ASIDE} now.")));
        };
        self.page = KEYS.iter().filter_map(|key| Some((*key, find(&table, key)?.clone()))).collect();
        Ok(self.drop_unfit())
    }

    /// Leaves out what does not go together with the rest. Returns the words.
    fn drop_unfit(&mut self) -> Option<String> {
        let why = self.config().err()?;
        for section in ["quiet", "output", "intake", "name"] {
            let mut less = self.clone();
            less.page.retain(|key, _| !key.starts_with(section));
            if less.config().is_ok() {
                *self = less;
                return Some(format!("What the page set as {section} does not hold: {why}"));
            }
        }
        self.page.clear();
        Some(format!("What the page set does not hold: {why}"))
    }

    /// Returns the settings that hold.
    ///
    /// # Errors
    /// `Invalid` for values that are not as documented, or do not go together.
    pub fn config(&self) -> Result<Config> {
        let mut table = self.said.clone();
        for (key, value) in self.page.iter().filter(|(key, _)| find(&self.said, key).is_none()) {
            put(&mut table, key, value.clone());
        }
        let config = Config::deserialize(toml::Value::Table(table));
        let config = config.map_err(|error| Error::new(Kind::Invalid, error.message().trim()))?;
        config.check().map_err(|what| Error::new(Kind::Invalid, what))?;
        Ok(config)
    }

    /// Returns the layers after changes of the page.
    ///
    /// # Errors
    /// `Invalid` for keys that the page cannot set and values that are not as documented, `NotAllowed` for those that
    /// konpo.toml or the command line says.
    pub fn changed(&self, changes: &[Change]) -> Result<Layers> {
        let mut changed = self.clone();
        for (key, value) in changes {
            let known = KEYS.iter().find(|known| *known == key);
            let key = *known
                .ok_or_else(|| Error::new(Kind::Invalid, format!("{key:?} is no setting of the page")))?;
            if find(&self.said, key).is_some() {
                let by = if self.command.contains(&key) { "the command line" } else { "konpo.toml" };
                return Err(Error::new(Kind::NotAllowed, format!("set {key}: {by} says it")));
            }
            match value {
                Some(value) => drop(changed.page.insert(key, plain(key, value)?)),
                None => drop(changed.page.remove(key)),
            }
        }
        changed.config()?;
        Ok(changed)
    }

    /// Returns every value that the page shows.
    ///
    /// # Errors
    /// As [`Layers::config`].
    pub fn shown(&self) -> Result<BTreeMap<&'static str, Shown>> {
        let config = self.config()?;
        let shown = |key: &'static str| {
            let source = self.source(key);
            let locked = matches!(source, Source::File | Source::Command);
            (key, Shown { value: value(&config, key), source, locked })
        };
        Ok(KEYS.into_iter().map(shown).collect())
    }

    fn source(&self, key: &'static str) -> Source {
        match (find(&self.said, key), self.page.contains_key(key)) {
            (Some(_), _) if self.command.contains(&key) => Source::Command,
            (Some(_), _) => Source::File,
            (None, true) => Source::Page,
            (None, false) => Source::Default,
        }
    }

    /// Writes what the page set, whole or not at all.
    ///
    /// # Errors
    /// Those of the disk.
    /// # Blocks
    /// Until it is on the disk.
    pub fn save_page(&self, data: &Path) -> Result<()> {
        let mut table = toml::Table::new();
        self.page.iter().for_each(|(key, value)| put(&mut table, key, value.clone()));
        let path = data.join(FILE);
        let failed = |error| Error::io(format!("write the settings {}", path.display()), error);
        let text = toml::to_string(&table)
            .map_err(|error| Error::with(Kind::Internal, "write the settings as TOML", error))?;
        let fresh = data.join(FRESH);
        let mut file = fs::File::create(&fresh).map_err(failed)?;
        file.write_all(HEAD.as_bytes()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)?;
        fs::File::open(data).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// Returns the value of `section.key`, or of a key without a section.
fn find<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    match key.split_once('.') {
        Some((section, key)) => table.get(section)?.as_table()?.get(key),
        None => table.get(key),
    }
}

fn put(table: &mut toml::Table, key: &str, value: toml::Value) {
    let Some((section, key)) = key.split_once('.') else {
        return drop(table.insert(key.to_owned(), value));
    };
    let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), value);
    }
}

/// Returns a value of JSON as one of TOML.
fn plain(key: &str, value: &Value) -> Result<toml::Value> {
    match value {
        Value::String(text) if text.len() <= LONGEST => Ok(text.as_str().into()),
        Value::Number(number) if number.is_i64() => Ok(number.as_i64().unwrap_or_default().into()),
        _ => Err(Error::new(Kind::Invalid, format!("{key} must be a short text or a whole number"))),
    }
}

/// Returns the value of a key as it is shown.
fn value(config: &Config, key: &str) -> Value {
    match key {
        "name" => json!(config.name()),
        "output.device" => json!(config.output.device),
        "output.volume" => json!(config.output.volume),
        "output.max_volume" => json!(config.output.max_volume),
        "intake.push" => json!(config.intake.push),
        "intake.on_arrival" => json!(config.intake.on_arrival),
        "quiet.from" => json!(config.quiet.from),
        "quiet.to" => json!(config.quiet.to),
        "quiet.days" => json!(config.quiet.days),
        "quiet.max_volume" => json!(config.quiet.max_volume),
        "quiet.action" => json!(config.quiet.action),
        _ => Value::Null,
    }
}

/// What the page can set.
pub const KEYS: [&str; 11] = [
    "name",
    "output.device",
    "output.volume",
    "output.max_volume",
    "intake.push",
    "intake.on_arrival",
    "quiet.from",
    "quiet.to",
    "quiet.days",
    "quiet.max_volume",
    "quiet.action",
];

/// Below the folder of data (design, "On disk").
const FILE: &str = "settings.toml";
const FRESH: &str = ".settings.toml.new";
const ASIDE: &str = "settings.toml.unreadable";
const HEAD: &str = "# What the page set; konpo writes this file. konpo.toml wins over it.\n";
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Knob, QuietAction};

    fn set(key: &str, value: Value) -> Change {
        (key.to_owned(), Some(value))
    }

    #[test]
    fn konpo_toml_wins_over_the_page_and_is_shown_locked() {
        let text = "name = \"Den\"\n[output]\nmax_volume = 60 # the neighbours\n";
        let layers = Layers::parse(text, "konpo.toml").expect("right");
        let changed = layers.changed(&[set("output.device", json!("silent"))]).expect("free");
        let config = changed.config().expect("right");
        assert_eq!((config.name(), config.output.device.as_str()), ("Den", "silent"));
        let shown = changed.shown().expect("right");
        let told = |key: &str| (shown[key].value.clone(), shown[key].source, shown[key].locked);
        assert_eq!(told("name"), (json!("Den"), Source::File, true));
        assert_eq!(told("output.max_volume"), (json!(60), Source::File, true));
        assert_eq!(told("output.device"), (json!("silent"), Source::Page, false));
        assert_eq!(told("quiet.from"), (Value::Null, Source::Default, false));
        assert_eq!(told("intake.on_arrival"), (json!("play-if-idle"), Source::Default, false));
        let refused = changed.changed(&[set("name", json!("Kitchen"))]).expect_err("locked");
        assert_eq!(refused.kind(), Kind::NotAllowed);
        assert!(refused.to_string().contains("konpo.toml says it"), "{refused}");
        let mut called = Layers::default();
        called.command("output.device", "silent");
        assert_eq!(called.shown().expect("right")["output.device"].source, Source::Command);
        assert!(called.changed(&[set("output.device", json!("auto"))]).is_err());
    }

    #[test]
    fn what_is_not_as_documented_is_refused_and_changes_nothing() {
        let layers = Layers::default();
        for (key, value, words) in [
            ("name", json!(""), "1 to 63 bytes"),
            ("name", json!("x".repeat(300)), "short text"),
            ("name", json!(true), "short text"),
            ("http.port", json!(80), "no setting of the page"),
            ("output.max_volume", json!(0), "1 to 100"),
            ("output.max_volume", json!(101), "0 to 100"),
            ("output.max_volume", json!("50"), "invalid type"),
            ("output.volume", json!("loud"), "`box` or `fixed`"),
            ("quiet.from", json!("22:00"), "set together"),
            ("intake.push", json!("sometimes"), "`ask`"),
        ] {
            let error = layers.changed(&[set(key, value.clone())]).expect_err(key);
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.to_string().contains(words), "{key} = {value}: {error}");
        }
        let night = [set("quiet.from", json!("22:00")), set("quiet.to", json!("07:00"))];
        let fixed = [&night[..], &[set("output.volume", json!("fixed"))]].concat();
        assert!(layers.changed(&fixed).is_err(), "the amplifier cannot be turned down");
        let stops = [&fixed[..], &[set("quiet.action", json!("stop"))]].concat();
        let config = layers.changed(&stops).expect("it can stop").config().expect("right");
        assert_eq!((config.output.volume, config.quiet.action), (Knob::Fixed, QuietAction::Stop));
    }

    #[test]
    fn what_the_page_set_is_kept_and_a_broken_file_is_put_aside() {
        let data = tempfile::tempdir().expect("a folder");
        let changes =
            [set("name", json!("居間")), set("quiet.from", json!("23:00")), set("quiet.to", json!("06:30"))];
        let layers = Layers::default().changed(&changes).expect("right");
        layers.save_page(data.path()).expect("written");
        let mut again = Layers::default();
        assert_eq!(again.lay_page(data.path()).expect("read"), None);
        assert_eq!(again, layers);
        let back = again.changed(&[("name".to_owned(), None)]).expect("right");
        assert_eq!(back.config().expect("right").name(), "Stereo");

        // What the owner wrote since does not go together with it: the rest holds.
        let mut fixed = Layers::parse("[output]\nvolume = \"fixed\"\n", "konpo.toml").expect("right");
        let words = fixed.lay_page(data.path()).expect("read").expect("said");
        assert!(words.contains("quiet") && words.contains("amplifier"), "{words}");
        let config = fixed.config().expect("right");
        assert_eq!((config.name(), config.quiet.from), ("居間", None));

        fs::write(data.path().join(FILE), "name = [").expect("written");
        let mut broken = Layers::default();
        assert!(broken.lay_page(data.path()).expect("started").is_some_and(|words| words.contains(ASIDE)));
        assert_eq!(broken, Layers::default());
        assert!(data.path().join(ASIDE).exists() && !data.path().join(FILE).exists());
    }
}
