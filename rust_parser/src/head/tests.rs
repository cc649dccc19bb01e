//! What each beginning of a line is taken for.

use super::*;

fn read(text: &str) -> (Found, CallHead) {
    let mut head = Head::default();
    head.reset();
    let mut position = Position::START;
    for character in text.chars() {
        let found = head.push(character, position);
        if found != Found::Pending {
            return (found, head.call().clone());
        }
        position.step(character);
    }
    (Found::Pending, head.call().clone())
}

#[test]
fn tasks_are_found_in_all_the_ways_models_write_them() {
    for text in [
        "1. search(",
        "1) search(",
        "1: search(",
        "1.search(",
        "  1. search(",
        "- 1. search(",
        "* 1. search(",
        "**1.** search(",
        "**1. search**(",
        "1. `search`(",
        "`1. search(",
        "1.) search(",
    ] {
        let (found, call) = read(text);
        assert_eq!((found, call.digits.as_str(), call.name.as_str()), (Found::Call, "1", "search"), "{text}");
    }
}

#[test]
fn prose_is_told_from_tasks_as_early_as_it_can_be() {
    for text in ["1. Find the height", "The height (in m)", "12 monkeys", "1.5 times", "<END_OF_LINE>", "& so on"] {
        assert_eq!(read(text).0, Found::Prose, "{text}");
    }
}

#[test]
fn labels_fences_comments_and_the_end_are_found() {
    assert_eq!(read("Thought:").0, Found::Thought);
    assert_eq!(read("**THOUGHT**:").0, Found::Thought);
    assert_eq!(read("```python").0, Found::Fence);
    assert_eq!(read("# 1. search(").0, Found::Comment);
    assert_eq!(read("<END_OF_PLAN>").0, Found::EndOfPlan);
    assert_eq!(read("<think>").0, Found::Reasoning(0));
    assert_eq!(read(" </Thinking>").0, Found::EndOfReasoning);
}

#[test]
fn an_endless_name_is_prose() {
    assert_eq!(read(&"a".repeat(10_000)).0, Found::Prose);
}
