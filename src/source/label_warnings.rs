//! Warns about labels before any work, if they make accuracies meaningless or misleading.

use std::collections::{BTreeMap, BTreeSet};

use super::classes::{Classes, OfSplit, minus_one_is_a_class, not_classes};
use super::shorten;
use super::tally::Tally;
use super::unicode_form::escaped;
use crate::pipeline::settings::Split;
use crate::{Error, Result};

/// With more classes than this, training labels are ids if nearly all rows are alone in their class.
const MANY_CLASSES: usize = 100;

/// With more classes than this, training labels may be ids if most rows are alone in their class.
const SOME_CLASSES: usize = 10;

/// Warnings about the labels of splits and their classes.
///
/// # Errors
/// When the labels of the training split are ids.
pub(super) fn of(splits: &[OfSplit], classes: &[Classes]) -> Result<Vec<String>> {
    let mut told = forms(splits);
    told.extend(minus_one(splits));
    let rows: Vec<BTreeMap<i64, u64>> =
        splits.iter().zip(classes).map(|(it, classes)| classes.rows(it.tally)).collect();
    for (it, rows) in splits.iter().zip(&rows) {
        if it.split == Some(Split::Train) && it.tally.counted {
            told.extend(ids(it.tally, rows)?);
        }
    }
    if let ([train, test], [of_train, of_test]) = (splits, rows.as_slice())
        && train.tally.counted
        && test.tally.counted
    {
        told.extend(compared(&train.tally.column, &classes[0], of_train, of_test));
    }
    Ok(told)
}

/// Warns of classes that were merged because their names differ only in the Unicode form.
fn forms(splits: &[OfSplit]) -> Vec<String> {
    let mut all: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (whole, forms) in splits.iter().flat_map(|it| &it.tally.forms) {
        all.entry(whole).or_default().extend(forms);
    }
    let column = splits.first().map_or("", |it| &it.tally.column);
    let several = all.into_iter().filter(|(_, forms)| forms.len() > 1);
    let told = several.map(|(whole, forms)| {
        let forms: Vec<String> = forms.into_iter().map(|it| format!("`{}`", escaped(it))).collect();
        let forms = forms.join(" and ");
        format!(
            "`{column}`: {forms} are the one class `{whole}`: they differ in the Unicode form alone"
        )
    });
    told.collect()
}

/// Says how -1 was read, if something else may have been meant.
fn minus_one(splits: &[OfSplit]) -> Option<String> {
    if splits.iter().any(|it| it.tally.names.is_some()) {
        return None;
    }
    let all = splits.iter().flat_map(|it| it.tally.numbers.keys().copied());
    let all: Vec<i128> = all.collect::<BTreeSet<_>>().into_iter().collect();
    let column = &splits.first()?.tally.column;
    match all.as_slice() {
        [-1, 0, 1] => Some(format!(
            "the labels `{column}` are -1, 0 and 1: -1 is read as no label. Where it is a class, write \
             the classes as 0, 1 and 2, or as text"
        )),
        all if minus_one_is_a_class(all) && all.len() > 2 => Some(format!(
            "`{column}` has other labels below 0, so that -1 is a class too, and not no label"
        )),
        _ => None,
    }
}

/// Says that labels are ids, or may be.
fn ids(tally: &Tally, rows: &BTreeMap<i64, u64>) -> Result<Option<String>> {
    let labelled: u64 = rows.values().sum();
    let alone = rows.values().filter(|rows| **rows == 1).count() as u64;
    let (classes, column) = (rows.len(), &tally.column);
    let what = format!(
        "the labels `{column}` look like ids, not like classes: {classes} different ones in {labelled} \
         labelled rows of the train split"
    );
    if classes > MANY_CLASSES && alone * 10 > labelled * 9 {
        return Err(Error::failed(what).hint(not_classes(column)));
    }
    let may_be = classes > SOME_CLASSES && alone * 2 > labelled;
    Ok(may_be.then(|| format!("{what}; {}", not_classes(column))))
}

/// Compares the labels of one split with those of the other.
fn compared(
    column: &str,
    classes: &Classes,
    train: &BTreeMap<i64, u64>,
    test: &BTreeMap<i64, u64>,
) -> Option<String> {
    let show = |all: &mut dyn Iterator<Item = &i64>| {
        shorten(&all.map(|it| format!("`{}`", classes.name(*it))).collect::<Vec<_>>())
    };
    let of_test: u64 = test.values().sum();
    match (train.is_empty(), test.is_empty()) {
        (true, true) => {
            return Some(format!("no row has a label (`{column}`): a probe has nothing to read"));
        }
        (true, false) => {
            return Some(format!(
                "no row of the train split has a label (`{column}`), and {of_test} of the test split \
                 have one: a probe has nothing to learn from"
            ));
        }
        (false, true) => {
            return Some(format!(
                "no row of the test split has a label (`{column}`): there is nothing to judge a probe by"
            ));
        }
        (false, false) => {}
    }
    let unknown: BTreeMap<i64, u64> = test
        .iter()
        .filter(|(class, _)| !train.contains_key(class))
        .map(|(a, b)| (*a, *b))
        .collect();
    if unknown.len() == test.len() {
        return Some(format!(
            "no label of the test split is among those of the train split: accuracies of `{column}` \
             cannot be other than 0. train has {}; test has {}",
            show(&mut train.keys()),
            show(&mut test.keys())
        ));
    }
    if !unknown.is_empty() {
        let rows: u64 = unknown.values().sum();
        return Some(format!(
            "`{column}`: {rows} of {of_test} labelled rows of the test split have a class that is not \
             among those of the train split, so that a probe cannot find it: {}",
            show(&mut unknown.keys())
        ));
    }
    (train.len() == 1).then(|| {
        format!(
            "all labelled rows of the train split have the one class {} (`{column}`): a probe has \
             nothing to tell apart",
            show(&mut train.keys())
        )
    })
}
