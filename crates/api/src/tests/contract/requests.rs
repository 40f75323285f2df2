//! Requests at every limit of a description, and just outside each: one request that succeeds, with one thing changed.

use serde_json::{Map, Value, json};

use super::published::Published;

/// A field that no description knows.
const UNKNOWN_FIELD: &str = "field_of_tomorrow";
/// Text of every kind that some pattern tells apart from others.
const TEXTS: [&str; 8] = [
    "a_b-C9",
    "a.b",
    "a b",
    "a<b",
    "名字",
    "1.2.3",
    "UTC+08:00",
    "UTC+8",
];

/// What fills the path, the query and the body of one operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// By the names of the published path.
    pub(super) path: Vec<(&'static str, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
}

/// One thing changed in a request that succeeds.
#[derive(Debug, Clone)]
pub(super) struct Variation {
    /// `vault.billing.size`, `?limit` or `{protectable_type}`.
    pub(super) at: String,
    pub(super) value: String,
    /// The first rule of the description that it breaks, `maxLength`; none when it keeps them all.
    pub(super) breaks: Option<String>,
    pub(super) request: Request,
}

/// Variations of what a request says, without those of what it leaves out.
pub(super) fn variations_of_present(operation: &Published, base: &Request) -> Vec<Variation> {
    let all = variations(operation, base);
    let present = |variation: &Variation| {
        let steps = variation.at.replace("[]", ".0").replace('.', "/");
        let value = base.body.pointer(&format!("/{steps}"));
        value.is_some_and(|value| *value != json!([]))
    };
    all.into_iter().filter(present).collect()
}

pub(super) fn variations(operation: &Published, base: &Request) -> Vec<Variation> {
    let mut found = of_parameters(operation, base);
    if let Some(schema) = &operation.body {
        found.extend(of_body(schema, base));
    }
    found
}

/// The number or word in a parameter is text, but its description speaks of what the text means.
fn of_parameters(operation: &Published, base: &Request) -> Vec<Variation> {
    let mut found = Vec::new();
    for parameter in &operation.parameters {
        // Any text may stand for an id in a path; only a word out of a list has others beside it.
        if !parameter.is_query && !parameter.schema["enum"].is_array() {
            continue;
        }
        let name = &parameter.name;
        let schema = match &parameter.schema {
            // Lists are sent as one parameter for each value.
            schema if schema["type"] == "array" => &schema["items"],
            schema => schema,
        };
        let rules = validator(&limits(schema));
        for value in alternatives(schema, &Value::Null) {
            let Some(text) = as_parameter(schema, &value) else {
                continue;
            };
            let mut request = base.clone();
            let at = if parameter.is_query {
                request.query.retain(|(other, _)| other != name);
                request.query.push((name.clone(), text.clone()));
                format!("?{name}")
            } else {
                let place = request.path.iter_mut().find(|(other, _)| other == name);
                place.unwrap().1.clone_from(&text);
                format!("{{{name}}}")
            };
            let breaks = all_broken(&rules, &value).into_iter().next();
            let breaks = breaks.map(|(_, rule)| rule);
            found.push(Variation {
                at,
                value: text,
                breaks,
                request,
            });
        }
        if parameter.is_query && parameter.is_required {
            let mut request = base.clone();
            request.query.retain(|(other, _)| other != name);
            let (at, value) = (format!("?{name}"), "absent".to_owned());
            found.push(Variation {
                at,
                value,
                breaks: Some("required".to_owned()),
                request,
            });
        }
    }
    found
}

/// Of a parameter: Swagger writes its rules beside `required` and `in`, which mean something else in a schema.
fn limits(described: &Value) -> Value {
    const RULES: [&str; 7] = [
        "type",
        "enum",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "pattern",
    ];
    let rules = RULES.iter().filter_map(|rule| {
        let value = described.get(*rule)?;
        Some(((*rule).to_owned(), value.clone()))
    });
    Value::Object(rules.collect())
}

/// `None` for what would read as a value of the parameter's type again: `1` for the text `"1"`.
fn as_parameter(schema: &Value, value: &Value) -> Option<String> {
    match value {
        Value::String(text) if schema["type"] == "string" || text.parse::<i64>().is_err() => {
            Some(text.clone())
        }
        Value::Number(_) if schema["type"] == "integer" => Some(value.to_string()),
        Value::Bool(_) if schema["type"] == "boolean" => Some(value.to_string()),
        _ => None,
    }
}

fn of_body(schema: &Value, base: &Request) -> Vec<Variation> {
    let rules = validator(schema);
    let known = all_broken(&rules, &base.body);
    let mut places = Vec::new();
    walk(schema, &mut Vec::new(), &mut places);
    let mut found = Vec::new();
    let mut push = |at: &[Step], value: String, body: Value| {
        let breaks = all_broken(&rules, &body)
            .into_iter()
            .find(|broken| !known.contains(broken));
        let breaks = breaks.map(|(_, rule)| rule);
        let request = Request {
            body,
            ..base.clone()
        };
        found.push(Variation {
            at: written(at),
            value,
            breaks,
            request,
        });
    };
    for (at, schema) in &places {
        let present = get(&base.body, at).cloned().unwrap_or_default();
        for value in alternatives(schema, &present) {
            let told = shortened(&value);
            push(at, told, with(&base.body, &places, at, value));
        }
        let Some(fields) = get(&base.body, at).and_then(Value::as_object) else {
            continue;
        };
        let mut more = fields.clone();
        more.insert(UNKNOWN_FIELD.to_owned(), json!({"a": [1, null]}));
        let told = format!("with {UNKNOWN_FIELD}");
        push(at, told, with(&base.body, &places, at, Value::Object(more)));
        for name in required(schema).filter(|name| fields.contains_key(*name)) {
            let mut fewer = fields.clone();
            fewer.remove(name);
            let mut place = at.clone();
            place.push(Step::Field(name.to_owned()));
            push(
                &place,
                "absent".to_owned(),
                with(&base.body, &places, at, Value::Object(fewer)),
            );
        }
    }
    found
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    First,
}

fn written(at: &[Step]) -> String {
    let steps = at.iter().map(|step| match step {
        Step::Field(name) => format!(".{name}"),
        Step::First => "[]".to_owned(),
    });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

/// Every place of a body, with its schema; the outer ones first.
fn walk(schema: &Value, at: &mut Vec<Step>, places: &mut Vec<(Vec<Step>, Value)>) {
    places.push((at.clone(), schema.clone()));
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        at.push(Step::Field(name.clone()));
        walk(schema, at, places);
        at.pop();
    }
    if schema["type"] == "array" {
        at.push(Step::First);
        walk(&schema["items"], at, places);
        at.pop();
    }
}

fn get<'a>(value: &'a Value, at: &[Step]) -> Option<&'a Value> {
    at.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.get(name),
        Step::First => value.get(0),
    })
}

/// The body with another value at one place. What is missing on the way there is made as small as it may be.
fn with(body: &Value, places: &[(Vec<Step>, Value)], at: &[Step], value: Value) -> Value {
    let mut body = body.clone();
    let mut rest = &mut body;
    for (depth, step) in at.iter().enumerate() {
        if rest.is_null() {
            let (_, schema) = places
                .iter()
                .find(|(place, _)| *place == at[..depth])
                .unwrap();
            *rest = sample(schema);
        }
        rest = match step {
            Step::Field(name) => &mut rest[name.as_str()],
            Step::First => {
                let items = rest.as_array_mut().unwrap();
                if items.is_empty() {
                    items.push(Value::Null);
                }
                &mut items[0]
            }
        };
    }
    *rest = value;
    body
}

/// The values at the limits of a schema, just outside, and of another type.
fn alternatives(schema: &Value, present: &Value) -> Vec<Value> {
    let limit = |name: &str| schema[name].as_i64();
    let mut values = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        values.extend(words.clone());
        values.push(json!("no_such_word"));
    }
    match schema["type"].as_str() {
        Some("string") => {
            let limits = [limit("minLength"), limit("minLength").map(|min| min - 1)];
            let more = [limit("maxLength"), limit("maxLength").map(|max| max + 1)];
            let lengths = limits.into_iter().chain(more).flatten();
            let lengths = lengths.filter_map(|length| usize::try_from(length).ok());
            values.extend(lengths.map(|length| json!("a".repeat(length))));
            if schema["pattern"].is_string() {
                values.extend(TEXTS.map(Value::from));
            }
            values.extend([json!(7), json!({})]);
        }
        Some("integer" | "number") => {
            let min = limit("minimum").into_iter().flat_map(|min| [min, min - 1]);
            let max = limit("maximum").into_iter().flat_map(|max| [max, max + 1]);
            values.extend(min.chain(max).map(Value::from));
            values.extend([json!("many"), json!(true), json!([])]);
            if schema["type"] == "integer" {
                values.push(json!(1.5));
            }
        }
        Some("boolean") => values.extend([json!(false), json!(true), json!("perhaps"), json!(2)]),
        Some("array") => {
            let min = limit("minItems").into_iter().flat_map(|min| [min, min - 1]);
            let max = limit("maxItems").into_iter().flat_map(|max| [max, max + 1]);
            let counts = min
                .chain(max)
                .filter_map(|count| usize::try_from(count).ok());
            let item = present.get(0).cloned();
            let item = item.unwrap_or_else(|| sample(&schema["items"]));
            values.extend(counts.map(|count| {
                let items = (0..count).map(|number| another(&schema["items"], &item, number));
                Value::Array(items.collect())
            }));
            values.extend([json!("list"), json!({})]);
        }
        _ => values.extend([json!("object"), json!([])]),
    }
    values
}

/// The same item again, but different, as lists want theirs unique.
fn another(schema: &Value, item: &Value, number: usize) -> Value {
    let many = i64::try_from(number).unwrap();
    if let Some(words) = schema["enum"].as_array() {
        return words[number % words.len()].clone();
    }
    match item {
        _ if number == 0 => item.clone(),
        Value::String(text) if text.len() == 36 => {
            json!(format!("11111111-2222-4333-8444-{number:012}"))
        }
        Value::String(text) if text.len() == 32 => json!(format!("{number:032}")),
        Value::String(text) => json!(format!("{text}{number}")),
        Value::Number(_) => json!(schema["minimum"].as_i64().unwrap_or(0) + many),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            for name in required(schema) {
                if let Some(value) = fields
                    .get_mut(name)
                    .filter(|value| name != "type" && name != "resource_type" && value.is_string())
                {
                    *value = another(&schema["properties"][name], value, number);
                }
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

/// The smallest value of a schema; a text that may be anything is taken for an id.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => match (schema["minLength"].as_u64(), schema["pattern"].as_str()) {
            (_, Some(pattern)) if pattern.starts_with("UTC") => json!("UTC+08:00"),
            (Some(length), _) => json!("a".repeat(usize::try_from(length.max(1)).unwrap())),
            _ => json!("11111111-2222-4333-8444-555555555555"),
        },
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1)),
        Some("boolean") => json!(false),
        Some("array") => Value::Array(vec![]),
        _ => {
            let fields =
                required(schema).map(|name| (name.to_owned(), sample(&schema["properties"][name])));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.map(|name| name.as_str().unwrap())
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::draft4::new(schema).unwrap()
}

/// Rules that a value breaks, and where: `vault.name`, `maxLength`.
fn all_broken(rules: &jsonschema::Validator, value: &Value) -> Vec<(String, String)> {
    let broken = rules.iter_errors(value).map(|error| {
        let place = error.instance_path().as_str();
        let parts = place
            .split('/')
            .skip(1)
            .map(|part| match part.parse::<u32>() {
                Ok(_) => "[]".to_owned(),
                Err(_) => format!(".{part}"),
            });
        let place = parts.collect::<String>().trim_start_matches('.').to_owned();
        (place, error.kind().keyword().to_owned())
    });
    broken.collect()
}

/// Rules of the description that the request itself breaks, as clients do.
pub(super) fn broken_by(operation: &Published, request: &Request) -> Vec<(String, String)> {
    let schema = operation.body.as_ref();
    schema.map_or_else(Vec::new, |schema| {
        all_broken(&validator(schema), &request.body)
    })
}

/// Enough of a value to recognise it in a message.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}
