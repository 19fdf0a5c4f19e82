// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The plain functions a launch script has for text, lists and maps.
//!
//! Rhai's own packages stay out: among them are functions that sleep, that
//! build a value of any size before a limit is looked at, and that panic on
//! an inconsistent comparison. Each function here does work in proportion to
//! its arguments, which are bounded, and gives back a bounded value.

#![expect(
    clippy::needless_pass_by_value,
    reason = "Rhai hands every argument over by value"
)]

use rhai::packages::{ArithmeticPackage, LogicPackage, Package};
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};

use super::error::Raised;
use super::table::Table;

type Result<T> = std::result::Result<T, Box<EvalAltResult>>;

/// How deep values may be inside one another where they are compared or shown.
const DEPTH: usize = 16;

pub(super) fn register(table: &mut Table<'_>) {
    let engine = table.engine();
    ArithmeticPackage::new().register_into_engine(engine);
    LogicPackage::new().register_into_engine(engine);
    engine
        .register_iterator::<Array>()
        .register_iterator::<std::ops::Range<i64>>()
        .register_iterator::<std::ops::RangeInclusive<i64>>();
    numbers(table.about("Number"));
    text(table.about("Text"));
    lists(table.about("List"));
    maps(table.about("Map"));
    any(table.about("Anything"));
}

fn numbers(table: &mut Table<'_>) {
    table
        .function(
            "min(a, b)",
            "number",
            "The smaller of two numbers.",
            |a: i64, b: i64| a.min(b),
        )
        .function(
            "max(a, b)",
            "number",
            "The larger of two numbers.",
            |a: i64, b: i64| a.max(b),
        )
        .function(
            "to_hex(number)",
            "text",
            "The number in lower-case hexadecimal, without a prefix.",
            |number: i64| format!("{number:x}"),
        )
        .function(
            "parse_int(text)",
            "number",
            "The decimal number that the text is. An error if it is none.",
            |text: &str| parse_int(text, 10),
        )
        .function(
            "parse_int(text, radix)",
            "number",
            "The same for another radix, 2 to 36.",
            parse_int,
        );
}

fn text(table: &mut Table<'_>) {
    table
        .property(
            "len",
            "number",
            "Its length in characters.",
            |text: &str| count(text.chars().count()),
        )
        .function("len(text)", "number", "The same.", |text: &str| {
            count(text.chars().count())
        })
        .function(
            "is_empty(text)",
            "bool",
            "Whether it has no character.",
            |text: &str| text.is_empty(),
        )
        .function(
            "contains(text, part)",
            "bool",
            "Whether `part` occurs in it. Also written `part in text`.",
            |text: &str, part: &str| text.contains(part),
        )
        .function(
            "starts_with(text, part)",
            "bool",
            "Whether it begins with `part`.",
            |text: &str, part: &str| text.starts_with(part),
        )
        .function(
            "ends_with(text, part)",
            "bool",
            "Whether it ends with `part`.",
            |text: &str, part: &str| text.ends_with(part),
        )
        .function(
            "index_of(text, part)",
            "number",
            "The character at which `part` first occurs; -1 if it does not.",
            index_of,
        )
        .function(
            "sub_string(text, start, len)",
            "text",
            "At most `len` characters from character `start` on, counted from 0.",
            sub_string,
        )
        .function(
            "split(text, by)",
            "list",
            "Its parts between occurrences of `by`.",
            split,
        )
        .function(
            "words(text)",
            "list",
            "Its parts between blanks.",
            |text: &str| -> Array { text.split_whitespace().map(Into::into).collect() },
        )
        .function(
            "trimmed(text)",
            "text",
            "The text without blanks at both ends.",
            |text: &str| text.trim().to_owned(),
        )
        .function(
            "to_lower(text)",
            "text",
            "The text in lower case.",
            |text: &str| text.to_lowercase(),
        )
        .function(
            "to_upper(text)",
            "text",
            "The text in upper case.",
            |text: &str| text.to_uppercase(),
        )
        .function(
            "replaced(text, part, by)",
            "text",
            "The text with `by` wherever `part` was.",
            replaced,
        )
        .function(
            "+(text, number)",
            "text",
            "Text with a number behind it. Better: `` `text ${number}` ``.",
            |text: &str, number: i64| format!("{text}{number}"),
        )
        .function(
            "+(number, text)",
            "text",
            "Text with a number before it.",
            |number: i64, text: &str| format!("{number}{text}"),
        );
}

fn lists(table: &mut Table<'_>) {
    table
        .property(
            "len",
            "number",
            "How many items it has.",
            |list: &mut Array| count(list.len()),
        )
        .function("len(list)", "number", "The same.", |list: &mut Array| {
            count(list.len())
        })
        .function(
            "is_empty(list)",
            "bool",
            "Whether it has no item.",
            |list: &mut Array| list.is_empty(),
        )
        .function(
            "push(list, item)",
            "()",
            "Puts an item at the end.",
            |list: &mut Array, item: Dynamic| list.push(item),
        )
        .function(
            "contains(list, item)",
            "bool",
            "Whether an item equals `item`. Also written `item in list`.",
            |list: &mut Array, item: Dynamic| has(list, &item),
        )
        .function(
            "index_of(list, item)",
            "number",
            "Where an item equals `item`, counted from 0; -1 if none does.",
            |list: &mut Array, item: Dynamic| position(list, &item),
        )
        .function(
            "filter(list, test)",
            "list",
            "The items for which `test`, a function of one item, is true.",
            filter,
        )
        .function(
            "map(list, change)",
            "list",
            "What `change`, a function of one item, gives for each.",
            map,
        )
        .function(
            "all(list, test)",
            "bool",
            "Whether `test` is true for every item.",
            |context: NativeCallContext, list: &mut Array, test: FnPtr| -> Result<bool> {
                Ok(first(&context, list, &test, false)?.is_none())
            },
        )
        .function(
            "some(list, test)",
            "bool",
            "Whether `test` is true for an item.",
            |context: NativeCallContext, list: &mut Array, test: FnPtr| -> Result<bool> {
                Ok(first(&context, list, &test, true)?.is_some())
            },
        )
        .function(
            "find(list, test)",
            "item or ()",
            "The first item for which `test` is true; `()` if there is none.",
            |context: NativeCallContext, list: &mut Array, test: FnPtr| -> Result<Dynamic> {
                Ok(first(&context, list, &test, true)?.unwrap_or(Dynamic::UNIT))
            },
        )
        .function(
            "sorted(list)",
            "list",
            "The items in ascending order: all numbers, or all text.",
            sorted,
        )
        .function(
            "join(list, by)",
            "text",
            "The items as text, with `by` between them.",
            join,
        )
        .function(
            "+(list, list)",
            "list",
            "The items of both, one list after the other.",
            |mut a: Array, mut b: Array| -> Array {
                a.append(&mut b);
                a
            },
        );
}

fn maps(table: &mut Table<'_>) {
    table
        .function(
            "len(map)",
            "number",
            "How many entries it has.",
            |map: &mut Map| count(map.len()),
        )
        .function(
            "is_empty(map)",
            "bool",
            "Whether it has no entry.",
            |map: &mut Map| map.is_empty(),
        )
        .function(
            "contains(map, key)",
            "bool",
            "Whether there is an entry for `key`. Also written `key in map`.",
            |map: &mut Map, key: &str| map.contains_key(key),
        )
        .function(
            "get(map, key)",
            "value or ()",
            "The value of `key`; `()` if there is none. `map.key` and `map[key]` fail instead.",
            |map: &mut Map, key: &str| map.get(key).cloned().unwrap_or(Dynamic::UNIT),
        )
        .function(
            "keys(map)",
            "list",
            "The keys in ascending order.",
            |map: &mut Map| -> Array { map.keys().map(|key| key.as_str().into()).collect() },
        )
        .function(
            "values(map)",
            "list",
            "The values in the order of their keys.",
            |map: &mut Map| -> Array { map.values().cloned().collect() },
        );
}

fn any(table: &mut Table<'_>) {
    table
        .function(
            "==(list, list)",
            "bool",
            "Whether both have equal items in the same order.",
            |a: Array, b: Array| equal(&a.into(), &b.into(), DEPTH),
        )
        .function(
            "!=(list, list)",
            "bool",
            "The opposite.",
            |a: Array, b: Array| equal(&a.into(), &b.into(), DEPTH).map(|same| !same),
        )
        .function(
            "==(map, map)",
            "bool",
            "Whether both have equal values for the same keys.",
            |a: Map, b: Map| equal(&a.into(), &b.into(), DEPTH),
        )
        .function("!=(map, map)", "bool", "The opposite.", |a: Map, b: Map| {
            equal(&a.into(), &b.into(), DEPTH).map(|same| !same)
        })
        .function(
            "to_string(value)",
            "text",
            "The value as text. `` `${value}` `` does the same.",
            |value: Dynamic| show(&value),
        );
}

/// The value as text, with what is inside lists and maps in Rhai's notation.
pub(super) fn show(value: &Dynamic) -> ImmutableString {
    let mut out = String::new();
    show_into(&mut out, value, DEPTH, true);
    out.into()
}

fn show_into(out: &mut String, value: &Dynamic, depth: usize, outermost: bool) {
    if let Ok(list) = value.as_array_ref() {
        let inner = depth.checked_sub(1);
        out.push('[');
        for (index, item) in list.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            match inner {
                Some(depth) => show_into(out, item, depth, false),
                None => out.push('…'),
            }
        }
        out.push(']');
    } else if let Ok(map) = value.as_map_ref() {
        let inner = depth.checked_sub(1);
        out.push_str("#{");
        for (index, (key, item)) in map.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            out.push_str(&format!("{key:?}: "));
            match inner {
                Some(depth) => show_into(out, item, depth, false),
                None => out.push('…'),
            }
        }
        out.push('}');
    } else if let Ok(text) = value.as_immutable_string_ref() {
        out.push_str(&if outermost {
            text.to_string()
        } else {
            format!("{:?}", text.as_str())
        });
    } else if let Some(raised) = value.read_lock::<Raised>() {
        out.push_str(&raised.message);
    } else {
        out.push_str(&value.to_string());
    }
}

fn equal(a: &Dynamic, b: &Dynamic, depth: usize) -> Result<bool> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(raised(
            "values are too deep inside one another to be compared",
        ));
    };
    if let (Ok(a), Ok(b)) = (a.as_array_ref(), b.as_array_ref()) {
        return a
            .iter()
            .zip(b.iter())
            .try_fold(a.len() == b.len(), |same, (a, b)| {
                Ok(same && equal(a, b, depth)?)
            });
    }
    if let (Ok(a), Ok(b)) = (a.as_map_ref(), b.as_map_ref()) {
        return a
            .iter()
            .zip(b.iter())
            .try_fold(a.len() == b.len(), |same, ((i, a), (j, b))| {
                Ok(same && i == j && equal(a, b, depth)?)
            });
    }
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Ok(*a == *b);
    }
    let plain = (
        a.as_int().ok(),
        a.as_bool().ok(),
        a.as_char().ok(),
        a.is_unit(),
    );
    let known = plain != (None, None, None, false);
    Ok(known
        && plain
            == (
                b.as_int().ok(),
                b.as_bool().ok(),
                b.as_char().ok(),
                b.is_unit(),
            ))
}

fn position(list: &Array, item: &Dynamic) -> Result<i64> {
    for (index, own) in list.iter().enumerate() {
        if equal(own, item, DEPTH)? {
            return Ok(count(index));
        }
    }
    Ok(-1)
}

fn has(list: &Array, item: &Dynamic) -> Result<bool> {
    Ok(position(list, item)? >= 0)
}

fn filter(context: NativeCallContext, list: &mut Array, test: FnPtr) -> Result<Array> {
    let mut kept = Array::new();
    for item in list.iter() {
        if test.call_within_context::<bool>(&context, (item.clone(),))? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

fn map(context: NativeCallContext, list: &mut Array, change: FnPtr) -> Result<Array> {
    let mut changed = Array::new();
    let mut bytes = 0;
    for item in list.iter() {
        let item = change.call_within_context::<Dynamic>(&context, (item.clone(),))?;
        bytes += item.as_immutable_string_ref().map_or(0, |text| text.len());
        within(&context, bytes)?;
        changed.push(item);
    }
    Ok(changed)
}

fn first(
    context: &NativeCallContext,
    list: &Array,
    test: &FnPtr,
    wanted: bool,
) -> Result<Option<Dynamic>> {
    for item in list {
        if test.call_within_context::<bool>(context, (item.clone(),))? == wanted {
            return Ok(Some(item.clone()));
        }
    }
    Ok(None)
}

fn sorted(list: Array) -> Result<Array> {
    if let Some(mut numbers) = list
        .iter()
        .map(|item| item.as_int().ok())
        .collect::<Option<Vec<_>>>()
    {
        numbers.sort_unstable();
        return Ok(numbers.into_iter().map(Dynamic::from).collect());
    }
    let text = |item: Dynamic| item.into_immutable_string().ok();
    match list.into_iter().map(text).collect::<Option<Vec<_>>>() {
        Some(mut texts) => {
            texts.sort_unstable();
            Ok(texts.into_iter().map(Dynamic::from).collect())
        }
        None => Err(raised(
            "only a list of numbers or a list of text can be sorted",
        )),
    }
}

fn join(context: NativeCallContext, list: &mut Array, by: &str) -> Result<String> {
    let mut out = String::new();
    for (index, item) in list.iter().enumerate() {
        out.push_str(if index > 0 { by } else { "" });
        out.push_str(&show(item));
        within(&context, out.len())?;
    }
    Ok(out)
}

fn split(context: NativeCallContext, text: &str, by: &str) -> Result<Array> {
    if by.is_empty() {
        return Err(raised("text cannot be split by nothing"));
    }
    let most = context.engine().max_array_size();
    Ok(text.split(by).take(most + 1).map(Into::into).collect())
}

fn replaced(context: NativeCallContext, text: &str, part: &str, by: &str) -> Result<String> {
    if part.is_empty() {
        return Err(raised("nothing cannot be replaced"));
    }
    let hits = text.matches(part).count();
    within(
        &context,
        text.len().saturating_add(hits.saturating_mul(by.len())),
    )?;
    Ok(text.replace(part, by))
}

fn index_of(text: &str, part: &str) -> i64 {
    text.find(part)
        .map_or(-1, |byte| count(text[..byte].chars().count()))
}

fn sub_string(text: &str, start: i64, len: i64) -> Result<String> {
    match (usize::try_from(start), usize::try_from(len)) {
        (Ok(start), Ok(len)) => Ok(text.chars().skip(start).take(len).collect()),
        _ => Err(raised(
            "sub_string needs a start and a length that are not negative",
        )),
    }
}

fn parse_int(text: &str, radix: i64) -> Result<i64> {
    let radix = u32::try_from(radix)
        .ok()
        .filter(|radix| (2..=36).contains(radix));
    let radix = radix.ok_or_else(|| raised("a radix is 2 to 36"))?;
    i64::from_str_radix(text, radix).map_err(|_| {
        raised(&format!(
            "{:?} is not a number",
            super::error::plain(text, 60)
        ))
    })
}

/// An error if a text of `bytes` would be over the limit.
fn within(context: &NativeCallContext, bytes: usize) -> Result<()> {
    if bytes > context.engine().max_string_size() {
        let what = "Length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, context.call_position()).into());
    }
    Ok(())
}

fn raised(message: &str) -> Box<EvalAltResult> {
    Raised {
        message: message.to_owned(),
        hint: None,
    }
    .raise()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
