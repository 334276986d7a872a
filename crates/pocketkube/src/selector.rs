//! Label selectors and field selectors as query parameters carry them.
//!
//! | form | matches when the label is |
//! |---|---|
//! | `a=b`, `a==b`, `a in (b,c)` | one of these |
//! | `a!=b`, `a notin (b,c)` | absent, or none of these |
//! | `a`, `!a` | there, absent |
//! | `a>1`, `a<1` | a whole number above, below |

use crate::status::Status;
use serde_json::{Map, Value};

/// A parsed label selector; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// A parsed field selector; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One term of a field selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Path of the field, for instance `metadata.name`.
    pub field: String,
    /// Value that it must or must not have.
    pub value: String,
    /// Whether it must have it.
    pub wanted: Wanted,
}

/// Whether a field must or must not have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It must.
    Equal,
    /// It must not.
    Different,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Above,
    Below,
}

impl LabelSelector {
    /// Parses `labelSelector=`.
    ///
    /// # Errors
    ///
    /// 400.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let tokens = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            position: 0,
        };
        let mut requirements = Vec::new();
        if reader.peek() == Token::End {
            return Ok(Self::default());
        }
        loop {
            requirements.push(reader.requirement()?);
            match reader.next() {
                Token::End => return Ok(Self { requirements }),
                Token::Comma => match reader.peek() {
                    Token::Not | Token::Word(_) | Token::In | Token::NotIn => {}
                    other => return Err(expected(&other, "identifier after ','")),
                },
                other => {
                    return Err(expected(&other, "',' or 'end of string'"));
                }
            }
        }
    }

    /// Reads a `meta/v1` LabelSelector: `matchLabels` and `matchExpressions`.
    ///
    /// # Errors
    ///
    /// 400 when an operator is none of `In`, `NotIn`, `Exists` and `DoesNotExist`.
    pub fn from_value(selector: &Value) -> Result<Self, Status> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = selector["matchLabels"].as_object().into_iter().flatten();
        let mut requirements: Vec<Requirement> = labels
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![text(value)],
            })
            .collect();
        for expression in crate::object::list(&selector["matchExpressions"]) {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::Absent,
                other => {
                    let message = format!("{other:?} is not a valid label selector operator");
                    return Err(Status::bad_request(message));
                }
            };
            let values = crate::object::list(&expression["values"]);
            requirements.push(Requirement {
                key: text(&expression["key"]),
                operator,
                values: values.iter().map(text).collect(),
            });
        }
        Ok(Self { requirements })
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it matches an object's labels.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = labels.and_then(|labels| labels.get(&requirement.key));
            requirement.matches(found.and_then(Value::as_str))
        })
    }
}

impl FieldSelector {
    /// Parses `fieldSelector=`.
    ///
    /// # Errors
    ///
    /// 400.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for part in split_unescaped(text)
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            let Some((field, wanted, value)) = split_term(&part) else {
                let message = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(Status::bad_request(message));
            };
            let value = unescape(value);
            terms.push(Term {
                field: field.to_owned(),
                value,
                wanted,
            });
        }
        Ok(Self { terms })
    }

    /// The selector of one name.
    pub(crate) fn named(name: &str) -> Self {
        let field = "metadata.name".to_owned();
        Self {
            terms: vec![Term {
                field,
                value: name.to_owned(),
                wanted: Wanted::Equal,
            }],
        }
    }

    /// Its terms.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it matches an object.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let is_equal = field_text(object, &term.field) == term.value;
            is_equal == (term.wanted == Wanted::Equal)
        })
    }

    /// The value that `field` must have, where there is one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.field == field && term.wanted == Wanted::Equal)
            .map(|term| term.value.as_str())
    }
}

impl Requirement {
    fn matches(&self, found: Option<&str>) -> bool {
        let is_listed = |found: &str| self.values.iter().any(|value| value == found);
        let bound = || {
            self.values
                .first()
                .and_then(|value| value.parse::<i64>().ok())
        };
        let number = |found: &str| found.parse::<i64>().ok();
        match self.operator {
            Operator::In => found.is_some_and(is_listed),
            Operator::NotIn => !found.is_some_and(is_listed),
            Operator::Exists => found.is_some(),
            Operator::Absent => found.is_none(),
            Operator::Above => found
                .and_then(number)
                .zip(bound())
                .is_some_and(|(found, bound)| found > bound),
            Operator::Below => found
                .and_then(number)
                .zip(bound())
                .is_some_and(|(found, bound)| found < bound),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    End,
    Comma,
    Equal,
    DoubleEqual,
    NotEqual,
    Open,
    Close,
    Not,
    Above,
    Below,
    In,
    NotIn,
    Word(String),
}

struct Reader<'a> {
    tokens: &'a [Token],
    position: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Token {
        self.tokens
            .get(self.position)
            .cloned()
            .unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, Status> {
        let mut operator = Operator::Exists;
        if self.peek() == Token::Not {
            self.next();
            operator = Operator::Absent;
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(expected(&other, "!, identifier, or 'end of string'")),
        };
        check_key(&key)?;
        let none = Vec::new();
        if operator == Operator::Absent || matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(Requirement {
                key,
                operator,
                values: none,
            });
        }
        let (operator, values) = match self.next() {
            Token::Equal | Token::DoubleEqual => (Operator::In, vec![self.value()]),
            Token::NotEqual => (Operator::NotIn, vec![self.value()]),
            Token::Above => (Operator::Above, vec![self.value()]),
            Token::Below => (Operator::Below, vec![self.value()]),
            Token::In => (Operator::In, self.values()?),
            Token::NotIn => (Operator::NotIn, self.values()?),
            other => return Err(unparsed(&other, "in, notin, =, ==, !=, gt, lt")),
        };
        let mut requirement = Requirement {
            key,
            operator,
            values,
        };
        requirement.values.sort();
        check_values(&requirement)?;
        Ok(requirement)
    }

    fn value(&mut self) -> String {
        match self.peek() {
            Token::Word(value) => {
                self.next();
                value
            }
            // These words are values here.
            Token::In => {
                self.next();
                "in".to_owned()
            }
            Token::NotIn => {
                self.next();
                "notin".to_owned()
            }
            _ => String::new(),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, Status> {
        match self.next() {
            Token::Open => {}
            other => {
                let found = other.text();
                let why = format!("unable to parse requirement: found '{found}' expected: '('");
                return Err(Status::bad_request(why));
            }
        }
        let mut values = vec![self.value()];
        loop {
            match self.next() {
                Token::Comma => values.push(self.value()),
                Token::Close => return Ok(values),
                other => return Err(unparsed(&other, "',' or ')'")),
            }
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let mut doubled = || characters.next_if_eq(&'=').is_some();
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            ',' => tokens.push(Token::Comma),
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '>' => tokens.push(Token::Above),
            '<' => tokens.push(Token::Below),
            '=' if doubled() => tokens.push(Token::DoubleEqual),
            '=' => tokens.push(Token::Equal),
            '!' if doubled() => tokens.push(Token::NotEqual),
            '!' => tokens.push(Token::Not),
            first => {
                let mut word = String::from(first);
                while let Some(next) = characters.next_if(|c| !" \t\r\n,()><=!".contains(*c)) {
                    word.push(next);
                }
                tokens.push(match word.as_str() {
                    "in" => Token::In,
                    "notin" => Token::NotIn,
                    _ => Token::Word(word),
                });
            }
        }
    }
    tokens
}

fn expected(found: &Token, expected: &str) -> Status {
    Status::bad_request(format!("found '{}', expected: {expected}", found.text()))
}

fn unparsed(found: &Token, expected: &str) -> Status {
    let found = found.text();
    Status::bad_request(format!(
        "unable to parse requirement: found '{found}', expected: {expected}"
    ))
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::End => "",
            Self::Comma => ",",
            Self::Equal => "=",
            Self::DoubleEqual => "==",
            Self::NotEqual => "!=",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Above => ">",
            Self::Below => "<",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Word(word) => word,
        }
    }
}

/// What labels are compared with could be one, or is a whole number.
fn check_values(requirement: &Requirement) -> Result<(), Status> {
    let key = &requirement.key;
    for (index, value) in requirement.values.iter().enumerate() {
        let message = match requirement.operator {
            Operator::Above | Operator::Below => {
                let is_number = value.parse::<i64>().is_ok();
                (!is_number).then(|| {
                    format!(
                        "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the \
                         value must be an integer"
                    )
                })
            }
            _ => {
                let faults = crate::kinds::label_value_faults(value);
                let listed = faults.join("; ");
                (!faults.is_empty())
                    .then(|| format!("values[{index}][{key}]: Invalid value: {value:?}: {listed}"))
            }
        };
        if let Some(message) = message {
            return Err(Status::bad_request(format!(
                "unable to parse requirement: {message}"
            )));
        }
    }
    Ok(())
}

/// A label key has a name of at most 63 characters and an optional prefix.
fn check_key(key: &str) -> Result<(), Status> {
    let name = key.rsplit('/').next().unwrap_or_default();
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_right = name.len() <= 63
        && name.chars().all(is_inner)
        && is_edge(name.chars().next())
        && is_edge(name.chars().last());
    if is_right {
        return Ok(());
    }
    let message = format!(
        "unable to parse requirement: <nil>: Invalid value: {key:?}: name part must consist of \
         alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
         character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    );
    Err(Status::bad_request(message))
}

fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => parts.push(String::new()),
            '\\' => {
                let last = parts.last_mut().expect("never empty");
                last.push('\\');
                last.extend(characters.next());
            }
            other => parts.last_mut().expect("never empty").push(other),
        }
    }
    parts
}

fn split_term(part: &str) -> Option<(&str, Wanted, &str)> {
    let at = part.find(['=', '!'])?;
    let (field, rest) = part.split_at(at);
    let (wanted, value) = match rest {
        _ if rest.starts_with("!=") => (Wanted::Different, &rest[2..]),
        _ if rest.starts_with("==") => (Wanted::Equal, &rest[2..]),
        _ if rest.starts_with('=') => (Wanted::Equal, &rest[1..]),
        _ => return None,
    };
    Some((field, wanted, value))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn field_text(object: &Value, path: &str) -> String {
    let mut value = object;
    for step in path.split('.') {
        match value.get(step) {
            Some(next) => value = next,
            None => return default_text(path),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What a field that is not there counts as.
fn default_text(path: &str) -> String {
    match path {
        "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
        "status.replicas" | "status.successful" => "0".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(selector: &str, labels: Value, expected: bool) {
        let selector = LabelSelector::parse(selector).unwrap();
        assert_eq!(
            selector.matches(labels.as_object()),
            expected,
            "{selector:?} on {labels}"
        );
    }

    #[test]
    fn label_selectors_match_as_the_table_says() {
        check("", json!({}), true);
        check("a=b", json!({"a": "b"}), true);
        check("a==b,c", json!({"a": "b"}), false);
        check("a in (b, c)", json!({"a": "c"}), true);
        check("a notin (b,c)", json!({}), true);
        check("a!=b", json!({"a": "b"}), false);
        check("!a", json!({"a": ""}), false);
        check("a", json!({"a": ""}), true);
        check("a=", json!({"a": ""}), true);
        check("a>1", json!({"a": "2"}), true);
        check("a<1", json!({"a": "x"}), false);
    }

    #[test]
    fn a_broken_label_selector_says_what_was_expected() {
        let status = LabelSelector::parse("==").unwrap_err();
        let expected = "found '==', expected: !, identifier, or 'end of string'";
        assert_eq!(status.message, expected);
    }

    #[test]
    fn field_selectors_compare_texts() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {}});
        let matches = |text: &str| FieldSelector::parse(text).unwrap().matches(&pod);
        assert!(matches("metadata.name=a,spec.nodeName="));
        assert!(matches("spec.hostNetwork!=true"));
        assert!(!matches("metadata.name!=a"));
        assert!(FieldSelector::parse("x").is_err());
    }
}
