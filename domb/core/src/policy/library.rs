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
use super::size::Size;
use super::table::{Table, rows};

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
    text(table.about("String"));
    lists(table.about("Array"));
    maps(table.about("Map"));
    any(table.about("Anything"));
}

fn numbers(table: &mut Table<'_>) {
    rows! { table;
        /// The smaller of two numbers.
        function "min(a, b)" -> "number" = |a: i64, b: i64| a.min(b);
        /// The larger of two numbers.
        function "max(a, b)" -> "number" = |a: i64, b: i64| a.max(b);
        /// The number in lower-case hexadecimal, without a prefix.
        function "to_hex(number)" -> "string" = |number: i64| format!("{number:x}");
        /// The decimal number that the text is. An error if it is none.
        function "parse_int(text)" -> "number" = |text: &str| parse_int(text, 10);
        /// The same for another radix, 2 to 36.
        function "parse_int(text, radix)" -> "number" = parse_int;
    }
}

fn text(table: &mut Table<'_>) {
    rows! { table;
        /// Its length in characters.
        property "len" -> "number" = |text: &str| count(text.chars().count());
        /// The same.
        function "len(text)" -> "number" = |text: &str| count(text.chars().count());
        /// Whether it has no character.
        function "is_empty(text)" -> "bool" = |text: &str| text.is_empty();
        /// Whether `part` occurs in it. Also written `part in text`.
        function "contains(text, part)" -> "bool" = |text: &str, part: &str| text.contains(part);
        /// Whether it begins with `part`.
        function "starts_with(text, part)" -> "bool" = |text: &str, part: &str| text.starts_with(part);
        /// Whether it ends with `part`.
        function "ends_with(text, part)" -> "bool" = |text: &str, part: &str| text.ends_with(part);
        /// The character at which `part` first occurs, counted from 0; -1 if it does not.
        function "index_of(text, part)" -> "number" = index_of;
        /// At most `len` characters from character `start` on, counted from 0.
        function "sub_string(text, start, len)" -> "string" = sub_string;
        /// Its parts between occurrences of `by`.
        function "split(text, by)" -> "array" = split;
        /// Its parts between blanks.
        function "words(text)" -> "array" = words;
        /// The text without blanks at both ends.
        function "trimmed(text)" -> "string" = |text: &str| text.trim().to_owned();
        /// The text in lower case.
        function "to_lower(text)" -> "string" = |text: &str| text.to_lowercase();
        /// The text in upper case.
        function "to_upper(text)" -> "string" = |text: &str| text.to_uppercase();
        /// The text with `by` wherever `part` was.
        function "replaced(text, part, by)" -> "string" = replaced;
        /// Text with a number behind it. `` `text ${number}` `` does the same.
        function "+(text, number)" -> "string" = |text: &str, number: i64| format!("{text}{number}");
        /// Text with a number before it.
        function "+(number, text)" -> "string" = |number: i64, text: &str| format!("{number}{text}");
    }
}

fn lists(table: &mut Table<'_>) {
    rows! { table;
        /// How many items it has.
        property "len" -> "number" = |list: &mut Array| count(list.len());
        /// The same.
        function "len(array)" -> "number" = |list: &mut Array| count(list.len());
        /// Whether it has no item.
        function "is_empty(array)" -> "bool" = |list: &mut Array| list.is_empty();
        /// Puts an item at the end.
        function "push(array, item)" -> "()" = |list: &mut Array, item: Dynamic| list.push(item);
        /// Whether an item equals `item`. Also written `item in array`.
        function "contains(array, item)" -> "bool" = |list: &mut Array, item: Dynamic| has(list, &item);
        /// Where an item equals `item`, counted from 0; -1 if none does.
        function "index_of(array, item)" -> "number" = |list: &mut Array, item: Dynamic| position(list, &item);
        /// The items for which `test`, a function of one item, is true.
        function "filter(array, test)" -> "array" = filter;
        /// What `change`, a function of one item, gives for each.
        function "map(array, change)" -> "array" = map;
        /// Whether `test` is true for every item.
        function "all(array, test)" -> "bool" = |c: NativeCallContext, list: &mut Array, test: FnPtr| first(&c, list, &test, false).map(|item| item.is_none());
        /// Whether `test` is true for an item.
        function "some(array, test)" -> "bool" = |c: NativeCallContext, list: &mut Array, test: FnPtr| first(&c, list, &test, true).map(|item| item.is_some());
        /// The first item for which `test` is true; `()` if there is none.
        function "find(array, test)" -> "item or ()" = |c: NativeCallContext, list: &mut Array, test: FnPtr| first(&c, list, &test, true).map(Option::unwrap_or_default);
        /// The items in ascending order: all numbers, or all text.
        function "sorted(array)" -> "array" = sorted;
        /// The items as text, with `by` between them.
        function "join(array, by)" -> "string" = join;
        /// The items of both, one array after the other.
        function "+(array, array)" -> "array" = |a: Array, b: Array| -> Array { a.into_iter().chain(b).collect() };
        /// Whether both have equal items in the same order.
        function "==(array, array)" -> "bool" = |a: Array, b: Array| equal(&a.into(), &b.into(), DEPTH);
        /// The opposite.
        function "!=(array, array)" -> "bool" = |a: Array, b: Array| equal(&a.into(), &b.into(), DEPTH).map(|same| !same);
    }
}

fn maps(table: &mut Table<'_>) {
    rows! { table;
        /// How many entries it has.
        function "len(map)" -> "number" = |map: &mut Map| count(map.len());
        /// Whether it has no entry.
        function "is_empty(map)" -> "bool" = |map: &mut Map| map.is_empty();
        /// Whether there is an entry for `key`. Also written `key in map`.
        function "contains(map, key)" -> "bool" = |map: &mut Map, key: &str| map.contains_key(key);
        /// The value of `key`; `()` if there is none. `map.key` and `map[key]` fail instead.
        function "get(map, key)" -> "value or ()" = |map: &mut Map, key: &str| map.get(key).cloned().unwrap_or_default();
        /// The keys in ascending order.
        function "keys(map)" -> "array" = |map: &mut Map| -> Array { map.keys().map(|key| key.as_str().into()).collect() };
        /// The values in the order of their keys.
        function "values(map)" -> "array" = |map: &mut Map| -> Array { map.values().cloned().collect() };
        /// Whether both have equal values for the same keys.
        function "==(map, map)" -> "bool" = |a: Map, b: Map| equal(&a.into(), &b.into(), DEPTH);
        /// The opposite.
        function "!=(map, map)" -> "bool" = |a: Map, b: Map| equal(&a.into(), &b.into(), DEPTH).map(|same| !same);
    }
}

fn any(table: &mut Table<'_>) {
    rows! { table;
        /// The value as text. `` `${value}` `` does the same.
        function "to_string(value)" -> "string" = |value: Dynamic| show(&value);
    }
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
    let mut size = Size::default();
    for item in list.iter() {
        let item = change.call_within_context::<Dynamic>(&context, (item.clone(),))?;
        size.add(&item);
        size.within(context.engine())?;
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

fn words(context: NativeCallContext, text: &str) -> Array {
    let most = context.engine().max_array_size();
    text.split_whitespace()
        .take(most + 1)
        .map(Into::into)
        .collect()
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
