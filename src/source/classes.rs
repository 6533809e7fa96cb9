//! The classes of one label, in one split or both: which numbers its values get, and the names of the classes.
//!
//! The number of a class means the same class in both splits, so the values of both are looked at together:
//!
//! | values | classes |
//! |---|---|
//! | numbers with names, as a ClassLabel has them | as they are; a split without names has those of the other |
//! | text | the different ones, sorted |
//! | numbers with names in one split, text in the other | the names, then texts that are none of them, sorted |
//! | numbers from 0, no more than every other one missing | as they are, without names |
//! | any other numbers | the different ones, sorted; their names are what they are |
//!
//! -1 is no label. It is a class where numbers have no names and are -1 and 1, or others below 0 occur.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::shorten;
use super::tally::{Kind, MOST_CLASSES, Names, Seen, Tally};
use super::unicode_form::{composed, escaped};
use crate::pipeline::settings::Split;
use crate::{Error, Result};

/// The value that says that there is no label.
const NO_LABEL: i128 = -1;

/// The most classes whose names go into the key of a dataset. If there are more, a hash of the names does.
const NAMES_IN_KEY: usize = 100;

/// Whether numbers become those of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbering {
    Classes,
    /// Numbers stay as they are, because the caller who asked for them knows them.
    Kept,
}

/// The classes of one label in one split.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    names: Option<Vec<String>>,
    rule: Rule,
}

/// How a value becomes the number of a class.
#[derive(Debug, Clone)]
enum Rule {
    /// The value is the number of a class; it must be below this one.
    Below(i128),
    /// Any number is a class, and stays; -1 is one if `minus_one` says so.
    Kept { minus_one: bool },
    /// The class is the value's index in this sorted list.
    Among(Vec<i128>),
    /// The class of each text, in composed Unicode.
    Texts(HashMap<String, i64>),
}

/// The error of a label that is not a class.
#[derive(Debug)]
pub(super) struct NoClass;

/// The labels of a split; `split` is `None` if there is only one.
#[derive(Clone, Copy)]
pub(super) struct OfSplit<'a> {
    pub split: Option<Split>,
    pub tally: &'a Tally,
}

impl Classes {
    /// The classes of these splits, one item per split.
    ///
    /// # Errors
    /// When a number has no name, names of numbers contradict each other, numbers meet text, or there are
    /// more classes than a probe tells apart.
    pub fn of(splits: &[OfSplit], numbering: Numbering) -> Result<Vec<Self>> {
        let names = agreed_names(splits)?;
        let numbers = splits.iter().find(|it| it.tally.kind == Kind::Numbers);
        let text = splits.iter().find(|it| it.tally.kind == Kind::Text);
        for it in splits {
            let is_kept = numbering == Numbering::Kept && it.tally.kind == Kind::Numbers;
            if it.tally.full && !is_kept {
                return Err(too_many(it.tally));
            }
        }
        if let Some(names) = &names {
            splits.iter().try_for_each(|it| check_numbers(it.tally, names))?;
        }
        match (names, numbers, text) {
            (None, Some(numbers), Some(text)) => Err(numbers_and_text(numbers, text)),
            (names, _, Some(_)) => {
                let named = names.map(|it| it.list).unwrap_or_default();
                Ok(with_texts(splits, named))
            }
            (Some(names), _, None) => {
                let below = names.list.len() as i128;
                let classes = Self { names: Some(names.list), rule: Rule::Below(below) };
                Ok(vec![classes; splits.len()])
            }
            (None, _, None) => Ok(vec![Self::of_numbers(splits, numbering); splits.len()]),
        }
    }

    /// The classes of numbers without names, one item per split.
    fn of_numbers(splits: &[OfSplit], numbering: Numbering) -> Self {
        let all = splits.iter().flat_map(|it| it.tally.numbers.keys().copied());
        let mut values: Vec<i128> = all.collect::<BTreeSet<_>>().into_iter().collect();
        let minus_one = minus_one_is_a_class(&values);
        values.retain(|it| *it != NO_LABEL || minus_one);
        let ends = values.first().copied().zip(values.last().copied());
        let is_known = |whole: fn(&Tally) -> bool| splits.iter().all(|it| whole(it.tally));
        let rule = match (numbering, ends) {
            (Numbering::Kept, Some((_, last)))
                if last > i64::MAX.into() && is_known(|it| !it.full) =>
            {
                None
            }
            (Numbering::Kept, _) => Some(Rule::Kept { minus_one }),
            (Numbering::Classes, Some((first, last)))
                if is_known(|it| !it.kept) && (first < 0 || last >= 2 * values.len() as i128) =>
            {
                None
            }
            (Numbering::Classes, _) => Some(Rule::Below(1 + i128::from(i64::MAX))),
        };
        match rule {
            Some(rule) => Self { names: None, rule },
            None => {
                let names = values.iter().map(i128::to_string).collect();
                Self { names: Some(names), rule: Rule::Among(values) }
            }
        }
    }

    /// The names of the classes by number; `None` if they have none.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The class of a number; `None` for a -1 that is not a class.
    ///
    /// # Errors
    /// When the number is not a class.
    pub fn of_number(&self, number: i128) -> Result<Option<i64>, NoClass> {
        let whole = || i64::try_from(number).map(Some).map_err(|_| NoClass);
        match &self.rule {
            Rule::Below(end) if (0..*end).contains(&number) => whole(),
            Rule::Kept { minus_one } if *minus_one || number != NO_LABEL => whole(),
            Rule::Among(values) => match values.binary_search(&number) {
                Ok(place) => Ok(Some(place as i64)),
                Err(_) if number == NO_LABEL => Ok(None),
                Err(_) => Err(NoClass),
            },
            _ if number == NO_LABEL => Ok(None),
            Rule::Below(_) | Rule::Kept { .. } | Rule::Texts(_) => Err(NoClass),
        }
    }

    /// The class of a text; `None` for an empty text.
    ///
    /// # Errors
    /// When the text is not a class.
    pub fn of_text(&self, text: &str) -> Result<Option<i64>, NoClass> {
        match &self.rule {
            _ if text.is_empty() => Ok(None),
            Rule::Texts(places) => places.get(&*composed(text)).copied().map(Some).ok_or(NoClass),
            Rule::Below(_) | Rule::Kept { .. } | Rule::Among(_) => Err(NoClass),
        }
    }

    /// The number of a split's rows without a class.
    pub fn missing(&self, tally: &Tally) -> u64 {
        let numbers = tally.numbers.iter();
        let unlabelled = numbers.filter(|(it, _)| matches!(self.of_number(**it), Ok(None)));
        tally.missing + unlabelled.map(|(_, seen)| seen.rows).sum::<u64>()
    }

    /// The number of a split's rows per class.
    pub fn rows(&self, tally: &Tally) -> BTreeMap<i64, u64> {
        let mut rows = BTreeMap::new();
        let numbers = tally.numbers.iter().map(|(it, seen)| (self.of_number(*it), seen));
        let texts = tally.texts.iter().filter(|(_, seen)| seen.rows > 0);
        let texts = texts.map(|(it, seen)| (self.of_text(it), seen));
        for (class, seen) in numbers.chain(texts) {
            if let Ok(Some(class)) = class {
                *rows.entry(class).or_default() += seen.rows;
            }
        }
        rows
    }

    /// The name of a class for people.
    pub fn name(&self, class: i64) -> String {
        let names = self.names.as_deref().unwrap_or_default();
        let name = usize::try_from(class).ok().and_then(|class| names.get(class));
        name.cloned().unwrap_or_else(|| class.to_string())
    }

    /// What the stored rows depend on; it goes into the key of a dataset.
    pub fn made(&self) -> Value {
        let names = match &self.names {
            None => Value::Null,
            Some(names) if names.len() <= NAMES_IN_KEY => json!(names),
            Some(names) => {
                let hash = blake3::hash(json!(names).to_string().as_bytes());
                json!({ "count": names.len(), "blake3": hash.to_hex().to_string() })
            }
        };
        let values = match &self.rule {
            Rule::Below(_) | Rule::Kept { .. } => "numbers of classes",
            Rule::Among(_) => "numbers",
            Rule::Texts(_) => "text",
        };
        json!({ "names": names, "values": values })
    }
}

/// Whether -1 is a class among these sorted numbers: yes if other numbers are below 0 too, or if they are signs.
pub(super) fn minus_one_is_a_class(values: &[i128]) -> bool {
    let is_other = values.first().is_some_and(|first| *first < NO_LABEL);
    values.contains(&NO_LABEL) && (is_other || values == [-1, 1])
}

/// The classes of splits: those in `named` first, then the texts that are none of these names, sorted.
fn with_texts(splits: &[OfSplit], named: Vec<String>) -> Vec<Classes> {
    let below = named.len() as i128;
    let known: BTreeSet<String> = named.iter().map(|it| composed(it).into_owned()).collect();
    let texts = splits.iter().flat_map(|it| it.tally.texts.keys());
    let mut more: Vec<String> = texts.filter(|it| !known.contains(*it)).cloned().collect();
    if let Some(text) = splits.iter().find(|it| it.tally.kind == Kind::Text) {
        text.tally.order.sort(&mut more);
    }
    let names = [named, more].concat();
    let mut places = HashMap::new();
    for (place, name) in names.iter().enumerate() {
        places.entry(composed(name).into_owned()).or_insert(place as i64);
    }
    let rule = |tally: &Tally| match tally.kind {
        Kind::Text => Rule::Texts(places.clone()),
        Kind::Numbers | Kind::Nothing => Rule::Below(below),
    };
    splits.iter().map(|it| Classes { names: Some(names.clone()), rule: rule(it.tally) }).collect()
}

/// The names that the splits agree on; `None` if no split has names.
fn agreed_names(splits: &[OfSplit]) -> Result<Option<Names>> {
    let mut agreed: Option<Names> = None;
    for names in splits.iter().filter_map(|it| it.tally.names.as_ref()) {
        agreed = Some(match &agreed {
            None => names.clone(),
            Some(one) => one_list(one, names, &splits[0].tally.column)?,
        });
    }
    Ok(agreed)
}

/// The longer of two lists of names, if it begins with the shorter one.
///
/// # Errors
/// When a number has two names.
pub(super) fn one_list(one: &Names, other: &Names, column: &str) -> Result<Names> {
    let pairs = one.list.iter().zip(&other.list);
    let apart = pairs.enumerate().find(|(_, (one, other))| composed(one) != composed(other));
    let Some((number, (a, b))) = apart else {
        let longer = if one.list.len() >= other.list.len() { one } else { other };
        return Ok(longer.clone());
    };
    let place = |it: &Names| match &it.file {
        Some(file) => format!("`{}`", file.display()),
        None => format!("the column of booleans `{column}`"),
    };
    let (a, b) = match a.is_ascii() && b.is_ascii() {
        true => (a.clone(), b.clone()),
        false => (escaped(a), escaped(b)),
    };
    let message = format!(
        "`{column}`: class {number} is called `{a}` in {}, and `{b}` in {}; the first has {} \
         classes ({}), the other {} ({})",
        place(one),
        place(other),
        one.list.len(),
        shorten(&one.list),
        other.list.len(),
        shorten(&other.list)
    );
    Err(Error::failed(message).hint(
        "one number has to be one class in all files: write them with one list of names \
         (`align_labels_with_mapping` of Hugging Face datasets gives labels other numbers), or have the \
         names themselves as labels, in a column of text",
    ))
}

/// Checks that every number has a name.
fn check_numbers(tally: &Tally, names: &Names) -> Result<()> {
    let count = names.list.len() as i128;
    let known = |number: i128| (NO_LABEL..count).contains(&number);
    let Some((&number, seen)) = tally.numbers.iter().find(|(it, _)| !known(**it)) else {
        return Ok(());
    };
    let (first, column) = (&seen.first, &tally.column);
    let from = match &names.file {
        Some(file) => format!(" that `{}` names", file.display()),
        None => String::new(),
    };
    let mut message = format!(
        "{first}: the label in column `{column}` is {number}, which is no class: the {count} classes{from} \
         are numbered from 0 ({})",
        shorten(&names.list)
    );
    let all: Vec<i128> = tally.numbers.keys().copied().collect();
    let mut hint =
        "mend the row or its file's names (null or -1 is no label), or read no labels by \
                    `data.label = false`"
            .to_owned();
    if number == count && all.iter().all(|it| (1..=count).contains(it) || *it == NO_LABEL) {
        message += "; the labels seem to count from 1";
        hint =
            format!("take 1 from every label in `{column}`, or read none by `data.label = false`");
    }
    Err(Error::failed(message).hint(hint))
}

fn numbers_and_text(numbers: &OfSplit, text: &OfSplit) -> Error {
    let of = |it: &OfSplit| it.split.map_or(String::new(), |it| format!("the {} split", it.name()));
    let first = |seen: Option<&Seen>| match seen {
        Some(seen) => format!(" ({})", seen.first),
        None => String::new(),
    };
    let message = format!(
        "the labels `{}` are numbers without names in {}{}, and text in {}{}: it is not known which \
         number is which text",
        numbers.tally.column,
        of(numbers),
        first(numbers.tally.numbers.values().next()),
        of(text),
        first(text.tally.texts.values().find(|it| it.rows > 0))
    );
    Error::failed(message)
        .hint("have labels of one kind in both splits, or give the numbers names (a ClassLabel)")
}

/// The error of ids that were taken for labels.
fn too_many(tally: &Tally) -> Error {
    let column = &tally.column;
    let message = format!(
        "the labels in column `{column}` are more than {MOST_CLASSES} different ones, or very long: they \
         look like ids or texts, not like classes"
    );
    Error::failed(message).hint(not_classes(column))
}

/// What to do about labels that are not classes.
pub(super) fn not_classes(column: &str) -> String {
    format!(
        "set `data.label` to a column of classes instead of `{column}`, or to false: then nothing is \
         probed"
    )
}

#[cfg(test)]
mod tests {
    use super::super::class_order::Order;
    use super::*;

    fn numbers(all: &[i128], names: Option<&[&str]>) -> Tally {
        let mut tally = Tally::new("label", Order::Text);
        tally.kind = Kind::Numbers;
        for (row, number) in all.iter().enumerate() {
            tally.add_number(Some(*number), || format!("row {row}"));
        }
        let list = |names: &[&str]| names.iter().map(|it| it.to_string()).collect();
        tally.names = names.map(|it| Names { list: list(it), file: Some("a".into()) });
        tally
    }

    fn texts(all: &[&str]) -> Tally {
        let mut tally = Tally::new("label", Order::Numbers);
        tally.kind = Kind::Text;
        for (row, text) in all.iter().enumerate() {
            tally.add_text(Some(text), || format!("row {row}"));
        }
        tally
    }

    fn of(train: &Tally, test: &Tally) -> Result<[Classes; 2]> {
        let both = [(Split::Train, train), (Split::Test, test)];
        let both = both.map(|(split, tally)| OfSplit { split: Some(split), tally });
        Ok(Classes::of(&both, Numbering::Classes)?.try_into().unwrap())
    }

    /// The names of the classes of both, and what the values of the first split become.
    fn numbered(train: &[i128], test: &[i128]) -> (String, Vec<Option<i64>>) {
        let [classes, _] = of(&numbers(train, None), &numbers(test, None)).unwrap();
        let of_train = train.iter().map(|it| classes.of_number(*it).unwrap()).collect();
        (classes.names().map_or("none".into(), |it| it.join(" ")), of_train)
    }

    #[test]
    fn numbers_of_classes_are_kept_and_others_are_numbered() {
        let some = |all: &[i64]| all.iter().map(|it| Some(*it)).collect::<Vec<_>>();
        let none = || "none".to_owned();
        assert_eq!(numbered(&[0, 2, 1], &[1]), (none(), some(&[0, 2, 1])));
        assert_eq!(numbered(&[1, 2, 3], &[5]), (none(), some(&[1, 2, 3])), "some are missing");
        assert_eq!(numbered(&[0, 2, -1], &[1]).1, [Some(0), Some(2), None]);
        assert_eq!(numbered(&[-1, -1], &[0]), (none(), vec![None, None]));
        assert_eq!(numbered(&[7, 300], &[7]), ("7 300".into(), some(&[0, 1])));
        assert_eq!(numbered(&[7], &[300, -1]), ("7 300".into(), some(&[0])));
        assert_eq!(numbered(&[300, -1], &[7]).1, [Some(1), None]);
        assert_eq!(numbered(&[-1, 1], &[1]), ("-1 1".into(), some(&[0, 1])));
        assert_eq!(numbered(&[-1, 1, 0], &[1]).1, [None, Some(1), Some(0)]);
        assert_eq!(numbered(&[-1, 4], &[-2]), ("-2 -1 4".into(), some(&[1, 2])));
        let large = i128::from(u64::MAX);
        assert_eq!(numbered(&[large, 0], &[0]), (format!("0 {large}"), some(&[1, 0])));
    }

    #[test]
    fn names_are_those_of_the_split_that_has_some() {
        let named = Some(["a", "b", "c"].as_slice());
        let [train, test] = of(&numbers(&[0, 2], None), &numbers(&[1, -1], named)).unwrap();
        assert_eq!(train.names().unwrap(), ["a", "b", "c"]);
        assert_eq!(test.of_number(-1).unwrap(), None);
        assert!(
            of(&numbers(&[0], Some(&["a", "b"])), &numbers(&[2], named)).is_ok(),
            "a list goes on"
        );
        let told = |train: &Tally, test: &Tally| of(train, test).unwrap_err().to_string();
        let beyond = told(&numbers(&[0, 3], None), &numbers(&[1], named));
        assert!(beyond.contains("row 1: the label in column `label` is 3"), "{beyond}");
        let from_one = told(&numbers(&[1, 2, 3], named), &numbers(&[1], named));
        assert!(from_one.contains("count from 1"), "{from_one}");
        let other = told(&numbers(&[0], named), &numbers(&[0], Some(&["a", "c", "b"])));
        assert!(other.contains("class 1 is called `b` in `a`, and `c` in `a`"), "{other}");
        let mixed = told(&numbers(&[0], None), &texts(&["a"]));
        assert!(mixed.contains("numbers without names in the train split"), "{mixed}");
    }

    #[test]
    fn texts_are_classes_of_both_splits() {
        let [train, test] = of(&texts(&["10", "9", "x"]), &texts(&["11", ""])).unwrap();
        assert_eq!(train.names().unwrap(), ["9", "10", "11", "x"]);
        assert_eq!((train.of_text("10").unwrap(), test.of_text("").unwrap()), (Some(1), None));
        assert!(train.of_text("y").is_err());
        let [_, test] = of(&numbers(&[0, 1], Some(&["b", "a"])), &texts(&["a", "c"])).unwrap();
        assert_eq!(test.names().unwrap(), ["b", "a", "c"]);
        assert_eq!(test.of_text("a").unwrap(), Some(1));
        let [train, _] = of(&texts(&["caf\u{e9}"]), &texts(&["cafe\u{301}"])).unwrap();
        assert_eq!(train.names().unwrap(), ["caf\u{e9}"]);
    }

    #[test]
    fn a_key_follows_the_classes_and_not_the_rows() {
        let made =
            |train: &[&str], test: &[&str]| of(&texts(train), &texts(test)).unwrap()[0].made();
        assert_eq!(made(&["a", "b"], &["a"]), made(&["b", "a", "a"], &["b", "b"]));
        assert_ne!(made(&["a", "b"], &["a"]), made(&["a", "b"], &["c"]));
    }
}
