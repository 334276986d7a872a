//! Stories that a real control plane was told, replayed: writes by several managers with every
//! kind of patch, and after each the object with its `managedFields`, or the error.

use super::{Operation, Writer, apply, track_update};
use crate::cluster::{Force, Part};
use crate::kinds::recorded::{differences, kind_of, masked, told, told_by_server};
use crate::kinds::{Kind, custom_kinds};
use crate::merge::{json_patch, merge_patch, strategic_patch};
use crate::status::Status;
use serde_json::{Value, json};

const UID: &str = "00000000-0000-4000-8000-000000000000";

/// One write of a story.
struct Write<'a> {
    kind: &'a Kind,
    step: &'a Value,
    part: Part,
    now: &'a str,
}

impl Write<'_> {
    fn manager(&self) -> &str {
        self.step["manager"].as_str().expect("a manager")
    }

    fn after(&self, live: Option<&Value>) -> Result<Value, Status> {
        let api_version = self.kind.resource.api_version();
        let subresource = if self.part == Part::Status {
            "status"
        } else {
            ""
        };
        let (operation, ignored) = (Operation::Update, self.kind.ignored(self.part));
        let manager = self.manager();
        let api_version = api_version.as_str();
        let writer = Writer {
            manager,
            operation,
            api_version,
            subresource,
            now: self.now,
        };
        let body = &self.step["body"];
        let is_apply = self.step["verb"] == "apply";
        let mut new = match (self.step["verb"].as_str(), live) {
            (Some("apply"), live) => {
                let force = if self.step["force"] == true {
                    Force::On
                } else {
                    Force::Off
                };
                let writer = Writer {
                    operation: Operation::Apply,
                    ..writer
                };
                apply(self.kind.schema(), &writer, &ignored, live, body, force)?
            }
            (Some("smp"), Some(live)) => strategic_patch(self.kind.schema(), live, body)?,
            (Some("mp"), Some(live)) => merge_patch(live, body),
            (Some("jp"), Some(live)) => json_patch(live, body).map_err(|_| {
                let message = "the server rejected our request due to an error in our request";
                Status::plain(422, "Invalid", message)
            })?,
            _ => body.clone(),
        };
        self.kind.decode(&mut new).map_err(Status::bad_request)?;
        new["metadata"]["namespace"] = json!("default");
        self.kind.default(&mut new);
        if !is_apply {
            track_update(self.kind.schema(), &writer, &ignored, live, &mut new);
        }
        self.checked(new, live)
    }

    fn checked(&self, mut new: Value, live: Option<&Value>) -> Result<Value, Status> {
        let name = new["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let causes = match live {
            None => {
                new["metadata"]["uid"] = json!(UID);
                self.kind.prepare_create(&mut new);
                self.kind.validate_create(&new)
            }
            Some(live) => {
                if new["metadata"]["uid"].is_null() {
                    new["metadata"]["uid"] = json!(UID);
                }
                self.kind.prepare_update(self.part, &mut new, live);
                self.kind.validate_update(self.part, &new, live)
            }
        };
        if causes.is_empty() {
            return Ok(new);
        }
        Err(Status::invalid(&self.kind.resource, &name, causes))
    }
}

/// Entries by manager: the order among equal seconds depends on when they were written.
fn comparable(object: &Value) -> Value {
    let mut object = masked(object.clone());
    if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
        for entry in entries.iter_mut() {
            entry
                .as_object_mut()
                .expect("an entry")
                .shift_remove("time");
        }
        entries.sort_by_key(|entry| {
            format!(
                "{}{}{}",
                entry["operation"], entry["manager"], entry["subresource"]
            )
        });
    }
    object
}

#[test]
fn stories_of_several_managers_end_as_on_a_real_server() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("recorded JSON");
    let custom = custom_kinds(&parse(include_str!("../../testdata/thing.json")));
    let stories = parse(include_str!("../../testdata/stories.json"));
    let mut wrong = Vec::new();
    for story in stories.as_array().expect("a list of stories") {
        let kind = kind_of(story["path"].as_str().expect("a path"), &custom);
        let mut live: Option<Value> = None;
        for (index, step) in story["steps"].as_array().expect("steps").iter().enumerate() {
            let part = if step["sub"] == "status" {
                Part::Status
            } else {
                Part::Main
            };
            let write = Write {
                kind: &kind,
                step,
                part,
                now: "2026-01-01T00:00:00Z",
            };
            let problem = match (write.after(live.as_ref()), step.get("object")) {
                (Ok(object), Some(real)) => {
                    let mut found = Vec::new();
                    differences("", &comparable(&object), &comparable(real), &mut found);
                    live = Some(object);
                    (!found.is_empty()).then(|| found.join("\n    "))
                }
                (Err(status), None) => {
                    let real = step["message"].as_str().unwrap_or_default();
                    let is_same = status.message == real
                        || (status.details.is_some() && told(&status) == told_by_server(step));
                    (!is_same).then(|| format!("said {}\n    real {real}", status.message))
                }
                (Ok(_), None) => Some(format!("wrote it\n    real {}", step["message"])),
                (Err(status), Some(_)) => Some(format!("said {}\n    real wrote", status.message)),
            };
            if let Some(problem) = problem {
                let title = &story["title"];
                wrong.push(format!(
                    "{title} step {index}: {} {} {}\n    {problem}",
                    step["verb"], step["manager"], step["body"]
                ));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} stories:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
