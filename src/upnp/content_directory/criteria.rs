//! SearchCriteria (UPnP ContentDirectory:1, 2.5.5; reference upnp 5.5): read with what real control points get wrong, and
//! written again. Pure.
//!
//! Tolerated: words of operators in any case, no space around parentheses and signs, single quotes, text that was escaped
//! once too often, parentheses that are missing or too many at the ends, no criteria at all.

use std::fmt;

use crate::wire::xml::unescape_twice_escaped;

/// What a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criteria {
    /// `*`.
    All,
    /// Every one, at least two; none of them is `And`.
    And(Vec<Criteria>),
    /// At least one, at least two; none of them is `Or`.
    Or(Vec<Criteria>),
    /// A property compared with a text.
    Compare(String, Operator, String),
    /// A property that is there, or is not.
    Exists(String, bool),
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    AtMost,
    /// `>`.
    More,
    /// `>=`.
    AtLeast,
    /// `contains`.
    Contains,
    /// `doesNotContain`.
    ContainsNot,
    /// `derivedfrom`: the class, or one that begins with it and a dot.
    DerivedFrom,
    /// `startsWith` (ContentDirectory:2).
    StartsWith,
}

/// Criteria that cannot be read; UPnP's 708.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Criteria {
    /// Returns both together.
    fn and(self, other: Criteria) -> Criteria {
        match (self, other) {
            (Criteria::And(mut all), Criteria::And(more)) => {
                all.extend(more);
                Criteria::And(all)
            }
            (Criteria::And(mut all), one) => {
                all.push(one);
                Criteria::And(all)
            }
            (one, Criteria::And(mut all)) => {
                all.insert(0, one);
                Criteria::And(all)
            }
            (one, other) => Criteria::And(vec![one, other]),
        }
    }

    /// Returns either.
    fn or(self, other: Criteria) -> Criteria {
        match (self, other) {
            (Criteria::Or(mut any), Criteria::Or(more)) => {
                any.extend(more);
                Criteria::Or(any)
            }
            (Criteria::Or(mut any), one) => {
                any.push(one);
                Criteria::Or(any)
            }
            (one, Criteria::Or(mut any)) => {
                any.insert(0, one);
                Criteria::Or(any)
            }
            (one, other) => Criteria::Or(vec![one, other]),
        }
    }
}

/// Reads criteria.
///
/// # Errors
/// [`Unreadable`] for another syntax, more than 4 kB, and parentheses more than 16 deep.
pub fn parse(text: &str) -> Result<Criteria, Unreadable> {
    if text.len() > LONGEST {
        return Err(Unreadable);
    }
    let text = unescape_twice_escaped(text.trim().to_owned());
    if text.is_empty() || text == "*" {
        return Ok(Criteria::All);
    }
    let tokens = tokens(&text)?;
    let mut reader = Reader { tokens: &tokens, depth: 0 };
    let read = reader.either()?;
    // Too many at the end.
    while let [Token::Close, rest @ ..] = reader.tokens {
        reader.tokens = rest;
    }
    if reader.tokens.is_empty() { Ok(read) } else { Err(Unreadable) }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Sign(Operator),
    Word(String),
    Quoted(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => {
                rest = &rest[1..];
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '=' => (Token::Sign(Operator::Equal), 1),
            '!' if rest.starts_with("!=") => (Token::Sign(Operator::NotEqual), 2),
            '<' if rest.starts_with("<=") => (Token::Sign(Operator::AtMost), 2),
            '<' => (Token::Sign(Operator::Less), 1),
            '>' if rest.starts_with(">=") => (Token::Sign(Operator::AtLeast), 2),
            '>' => (Token::Sign(Operator::More), 1),
            '"' | '\'' => quoted(rest, c)?,
            c if is_of_word(c) => {
                let length = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => return Err(Unreadable),
        };
        found.push(token);
        rest = &rest[length..];
    }
    Ok(found)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ':' | '@' | '_' | '-' | '.' | '*')
}

/// Reads a value in quotes with the bytes that it takes; a backslash keeps the sign behind it.
fn quoted(text: &str, quote: char) -> Result<(Token, usize), Unreadable> {
    let mut value = String::new();
    let mut signs = text.char_indices().skip(1);
    while let Some((at, c)) = signs.next() {
        match c {
            c if c == quote => return Ok((Token::Quoted(value), at + 1)),
            '\\' => match signs.next() {
                Some((_, kept @ ('"' | '\'' | '\\'))) => value.push(kept),
                // Some escape nothing: a path of Windows.
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err(Unreadable),
            },
            c => value.push(c),
        }
    }
    Err(Unreadable)
}

struct Reader<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.first(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        if is {
            self.tokens = &self.tokens[1..];
        }
        is
    }

    fn either(&mut self) -> Result<Criteria, Unreadable> {
        let mut read = self.both()?;
        while self.takes("or") {
            read = read.or(self.both()?);
        }
        Ok(read)
    }

    fn both(&mut self) -> Result<Criteria, Unreadable> {
        let mut read = self.one()?;
        while self.takes("and") {
            read = read.and(self.one()?);
        }
        Ok(read)
    }

    fn one(&mut self) -> Result<Criteria, Unreadable> {
        match self.next().cloned() {
            Some(Token::Open) => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(Unreadable);
                }
                let read = self.either()?;
                self.depth -= 1;
                match self.next() {
                    // Missing at the end.
                    Some(Token::Close) | None => Ok(read),
                    Some(_) => Err(Unreadable),
                }
            }
            Some(Token::Word(property)) => self.relation(property),
            _ => Err(Unreadable),
        }
    }

    fn relation(&mut self, property: String) -> Result<Criteria, Unreadable> {
        let operator = match self.next() {
            Some(Token::Sign(operator)) => *operator,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("exists") => {
                let there = match self.next() {
                    Some(Token::Word(word) | Token::Quoted(word)) => word.to_ascii_lowercase(),
                    _ => return Err(Unreadable),
                };
                return match there.as_str() {
                    "true" | "1" => Ok(Criteria::Exists(property, true)),
                    "false" | "0" => Ok(Criteria::Exists(property, false)),
                    _ => Err(Unreadable),
                };
            }
            Some(Token::Word(word)) => {
                let known = WORDS.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
                known.ok_or(Unreadable)?.0
            }
            _ => return Err(Unreadable),
        };
        match self.next() {
            Some(Token::Quoted(value)) => Ok(Criteria::Compare(property, operator, value.clone())),
            _ => Err(Unreadable),
        }
    }
}

impl fmt::Display for Criteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, all: &[Criteria], word: &str| {
            for (at, one) in all.iter().enumerate() {
                if at > 0 {
                    write!(f, " {word} ")?;
                }
                match one {
                    Criteria::And(_) | Criteria::Or(_) => write!(f, "({one})")?,
                    _ => write!(f, "{one}")?,
                }
            }
            Ok(())
        };
        match self {
            Criteria::All => f.write_str("*"),
            Criteria::And(all) => joined(f, all, "and"),
            Criteria::Or(any) => joined(f, any, "or"),
            Criteria::Exists(property, there) => write!(f, "{property} exists {there}"),
            Criteria::Compare(property, operator, value) => {
                // A reader takes text that looks escaped for text that was escaped once too often.
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;");
                write!(f, "{property} {operator} \"{value}\"")
            }
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::More => ">",
            Operator::AtLeast => ">=",
            word => WORDS.iter().find(|(known, _)| known == word).map_or("", |(_, name)| name),
        })
    }
}

const WORDS: [(Operator, &str); 4] = [
    (Operator::Contains, "contains"),
    (Operator::ContainsNot, "doesNotContain"),
    (Operator::DerivedFrom, "derivedfrom"),
    (Operator::StartsWith, "startsWith"),
];

/// Bytes of the longest criteria that are read.
const LONGEST: usize = 4096;
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compare(property: &str, operator: Operator, value: &str) -> Criteria {
        Criteria::Compare(property.into(), operator, value.into())
    }

    #[test]
    fn what_apps_ask_is_read() {
        let class = |value| compare("upnp:class", Operator::DerivedFrom, value);
        let title = |value| compare("dc:title", Operator::Contains, value);
        for (text, want) in [
            ("*", Criteria::All),
            ("", Criteria::All),
            (
                "(upnp:class derivedfrom \"object.item.audioItem\" and dc:title contains \"x\")",
                Criteria::And(vec![class("object.item.audioItem"), title("x")]),
            ),
            (
                "(upnp:class derivedfrom \"o\" and (dc:creator contains \"x\" or upnp:artist contains \"x\"))",
                Criteria::And(vec![
                    class("o"),
                    Criteria::Or(vec![
                        compare("dc:creator", Operator::Contains, "x"),
                        compare("upnp:artist", Operator::Contains, "x"),
                    ]),
                ]),
            ),
            (
                "upnp:class derivedFrom \"o\" AND @refID exists false",
                Criteria::And(vec![class("o"), Criteria::Exists("@refID".into(), false)]),
            ),
            ("(upnp:class derivedfrom &quot;o&quot;)", class("o")),
            ("dc:title contains 'it'", title("it")),
            ("dc:title=\"a \\\"b\\\" \\\\ c\"", compare("dc:title", Operator::Equal, "a \"b\" \\ c")),
            (
                "(dc:title contains\"x\")and(dc:title!=\"y\")",
                Criteria::And(vec![title("x"), compare("dc:title", Operator::NotEqual, "y")]),
            ),
            ("((dc:title contains \"x\")", title("x")),
            ("(dc:title contains \"x\")))", title("x")),
            ("dc:date>=\"2000-01-01\"", compare("dc:date", Operator::AtLeast, "2000-01-01")),
            (
                "dc:title contains \"a\" or dc:title contains \"b\" and dc:title contains \"c\"",
                Criteria::Or(vec![title("a"), Criteria::And(vec![title("b"), title("c")])]),
            ),
            ("dc:title contains \"夢 (live)\"", title("夢 (live)")),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn another_syntax_is_refused() {
        for text in [
            "dc:title",
            "dc:title contains",
            "contains \"x\"",
            "dc:title like \"x\"",
            "dc:title contains x",
            "dc:title contains \"x",
            "dc:title contains \"x\" and",
            "and",
            "()",
            "(dc:title contains \"x\" dc:title contains \"y\")",
            "dc:title contains \"x\") and dc:title contains \"y\"",
            "@refID exists maybe",
            "dc:title = = \"x\"",
            "\u{1}",
            "\"x\"",
            "dc:title contains \"x\" \"y\"",
            "not dc:title contains \"x\"",
            "dc:title contains \"x\\",
        ] {
            assert_eq!(parse(text), Err(Unreadable), "{text}");
        }
        let deep =
            |depth: usize| format!("{}dc:title contains \"x\"{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&deep(DEEPEST)).is_ok() && parse(&deep(DEEPEST + 1)).is_err());
        assert!(parse(&format!("dc:title contains \"{}\"", "x".repeat(LONGEST))).is_err());
    }

    fn criteria() -> impl Strategy<Value = Criteria> {
        let operators = [
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::AtMost,
            Operator::More,
            Operator::AtLeast,
            Operator::Contains,
            Operator::ContainsNot,
            Operator::DerivedFrom,
            Operator::StartsWith,
        ];
        let property =
            proptest::sample::select(&["dc:title", "@refID", "upnp:class", "res@size", "and:or"][..]);
        let compare =
            (property.clone(), proptest::sample::select(operators.to_vec()), "(.|&|&amp;|quot;|#65;){0,8}")
                .prop_map(|(property, operator, value)| Criteria::Compare(property.into(), operator, value));
        let exists =
            (property, any::<bool>()).prop_map(|(property, there)| Criteria::Exists(property.into(), there));
        prop_oneof![compare, exists].prop_recursive(4, 16, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(one, other)| one.and(other)),
                (inner.clone(), inner).prop_map(|(one, other)| one.or(other)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(criteria in criteria()) {
            prop_assert_eq!(parse(&criteria.to_string()), Ok(criteria));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[()=!<>\"'\\\\a-c: ]{0,40}|\\PC{0,40}") {
            if let Ok(read) = parse(&text) {
                let again = parse(&read.to_string());
                prop_assert!(again.is_ok(), "{read}");
            }
        }
    }
}
