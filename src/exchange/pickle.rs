//! Reads the pickle of a state dict as data: nothing in it is run, and everything except the dict's tensors is
//! dropped at once.
//!
//! candle has a reader of pickles, too. It copies what a pickle refers to, so that a few bytes can ask for any
//! amount of memory, and it panics if a tensor has too few arguments. Here values are shared, and both their
//! nesting and their number are limited.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A tensor as a pickle describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pickled {
    pub storage: Rc<Storage>,
    /// The place of the first value in the storage. It is unchecked: the pickle may say anything.
    pub offset: i64,
    pub dims: Vec<usize>,
    /// The strides, unchecked as well.
    pub strides: Vec<i64>,
}

/// The values of one tensor, or of several.
#[derive(Debug, PartialEq)]
pub struct Storage {
    /// Module and name, such as `torch FloatStorage`.
    class: Rc<str>,
    /// The entry that holds the storage.
    pub key: Rc<str>,
}

impl Storage {
    /// The type of the values, such as `FloatStorage`.
    pub fn dtype(&self) -> &str {
        self.class.rsplit([' ', '.']).next().unwrap_or_default()
    }
}

/// A value on the stack of the machine that runs a pickle.
#[derive(Clone)]
enum Value {
    Mark,
    Int(i64),
    Text(Rc<str>),
    /// The module and name of a class.
    Class(Rc<str>),
    /// A tuple, and its depth: how many tuples are nested in it.
    Tuple(Rc<[Value]>, usize),
    /// The tensors of a dict; `None` for other entries.
    Dict(Rc<RefCell<Dict>>),
    Storage(Rc<Storage>),
    Tensor(Rc<Pickled>),
    /// The texts of a list.
    List(Rc<RefCell<Vec<Rc<str>>>>),
    /// Any other value; it is not needed.
    Other,
}

type Dict = BTreeMap<String, Option<Rc<Pickled>>>;

/// The deepest nesting of tuples: shapes and storages lie in the arguments of a tensor.
const DEEPEST: usize = 3;

/// The most values on the stack, and in the memo: PyTorch puts a thousand on the stack for each dict, and about
/// eight into the memo for each tensor.
const STACK: usize = 1 << 16;
const MEMO: usize = 1 << 19;

/// The most bytes of a text, and of the name of a class.
const LONGEST_TEXT: usize = 1 << 10;
const LONGEST_CLASS: usize = 1 << 7;

/// The most dimensions of a tensor.
const RANK: usize = 8;

/// The tensors of the dict that a pickle makes, by name.
///
/// # Errors
/// A sentence that says what is wrong with the pickle.
pub fn state_dict(pickle: &[u8]) -> Result<BTreeMap<String, Pickled>, String> {
    tensors(run(pickle)?.0)
}

/// The pickles of a checkpoint of PyTorch before 1.6.
pub struct OldPickles {
    pub state: BTreeMap<String, Pickled>,
    /// The keys of the storages, in the order in which these follow.
    pub keys: Vec<Rc<str>>,
    /// The length of all pickles together.
    pub bytes: usize,
}

/// Reads the five pickles at the start of an old checkpoint.
///
/// # Errors
/// A sentence that says what is wrong with them.
pub fn old_state_dict(file: &[u8]) -> Result<OldPickles, String> {
    let mut rest = file;
    // A magic number, a version, and the types of the machine.
    for _ in 0..3 {
        rest = run(rest)?.1;
    }
    let (state, rest) = run(rest)?;
    let state = tensors(state)?;
    let (Value::List(keys), rest) = run(rest)? else {
        return Err("it does not say in which order its values follow".to_string());
    };
    Ok(OldPickles { state, keys: keys.take(), bytes: file.len() - rest.len() })
}

/// Runs a pickle; returns its value, and the bytes after it.
fn run(pickle: &[u8]) -> Result<(Value, &[u8]), String> {
    let mut machine = Machine { rest: pickle, stack: Vec::new(), memo: HashMap::new() };
    let made = machine.run();
    let at = pickle.len() - machine.rest.len();
    let made = made.map_err(|what| format!("byte {at} of its pickle: {what}"))?;
    Ok((made, machine.rest))
}

fn tensors(made: Value) -> Result<BTreeMap<String, Pickled>, String> {
    let Value::Dict(dict) = made else { return Err("it holds no dict of tensors".to_string()) };
    let dict = dict.borrow();
    dict.iter()
        .map(|(name, tensor)| match tensor {
            Some(tensor) => Ok((name.clone(), Pickled::clone(tensor))),
            None => Err(format!("`{name}` is no tensor: save the state dict alone")),
        })
        .collect()
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// Runs to the end; the value then on the stack is the pickle's.
    fn run(&mut self) -> Step<Value> {
        loop {
            if self.stack.len() > STACK || self.memo.len() > MEMO {
                return Err("it makes more values than a state dict has".to_string());
            }
            let [code] = self.array()?;
            match code {
                b'.' => return self.pop(),
                // The protocol version and the frame length are not needed.
                0x80 => self.array::<1>().map(drop)?,
                0x95 => self.array::<8>().map(drop)?,
                b'(' => self.stack.push(Value::Mark),
                b'N' | 0x88 | 0x89 => self.stack.push(Value::Other),
                b']' => self.stack.push(Value::List(Rc::default())),
                b'G' => {
                    self.array::<8>()?;
                    self.stack.push(Value::Other);
                }
                b'K' => self.int(|[a]: [u8; 1]| a.into())?,
                b'M' => self.int(|a| u16::from_le_bytes(a).into())?,
                b'J' => self.int(|a| i32::from_le_bytes(a).into())?,
                0x8a => {
                    let [len] = self.array()?;
                    let long = self.bytes(len.into())?;
                    let is_negative = long.last().is_some_and(|high| high & 0x80 != 0);
                    let mut int = if is_negative { [0xff; 8] } else { [0; 8] };
                    // Longer numbers are not sizes.
                    let value = match int.get_mut(..long.len()) {
                        Some(low) => {
                            low.copy_from_slice(long);
                            Value::Int(i64::from_le_bytes(int))
                        }
                        None => Value::Other,
                    };
                    self.stack.push(value);
                }
                b'X' | 0x8c => {
                    let len = self.number(code == b'X')?;
                    self.text(len as usize)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.class(&module, &name);
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => {
                        self.class(&module, &name);
                    }
                    _ => return Err("a class without a name".to_string()),
                },
                b'q' | b'r' => {
                    let id = self.number(code == b'r')?;
                    self.put(id)?;
                }
                0x94 => self.put(self.memo.len() as u32)?,
                b'h' | b'j' => {
                    let id = self.number(code == b'j')?;
                    self.get(id)?;
                }
                b')' => self.tuple(Vec::new()),
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(code) - 0x84);
                    let items = self.stack.split_off(from.ok_or("the stack is empty")?);
                    self.tuple(items);
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.tuple(items);
                }
                b'}' => self.stack.push(Value::Dict(Rc::default())),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.insert([key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    let (pairs, odd) = items.as_chunks::<2>();
                    if !odd.is_empty() {
                        return Err("a key without a value".to_string());
                    }
                    pairs.iter().try_for_each(|pair| self.insert(pair.clone()))?;
                }
                b'b' => drop(self.pop()?),
                b'a' => {
                    let item = self.pop()?;
                    self.append([item]);
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items);
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.stack.push(storage(&id).unwrap_or(Value::Other));
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    let made =
                        call(&class, &arguments).map_err(|what| match self.stack.last() {
                            // The tensor's name is on the stack already.
                            Some(Value::Text(name)) => format!("tensor `{name}`: {what}"),
                            _ => what,
                        })?;
                    self.stack.push(made);
                }
                code => return Err(format!("an instruction {code:#04x} that no state dict has")),
            }
        }
    }

    fn bytes(&mut self, len: usize) -> Step<&[u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("it ends too early")?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A number of four bytes, or of one.
    fn number(&mut self, is_long: bool) -> Step<u32> {
        Ok(if is_long { u32::from_le_bytes(self.array()?) } else { self.array::<1>()?[0].into() })
    }

    fn line(&mut self) -> Step<String> {
        let len = self.rest.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
        let line = String::from_utf8_lossy(self.bytes(len)?).trim_end().to_string();
        self.bytes(1)?;
        Ok(line)
    }

    fn int<const N: usize>(&mut self, of: impl Fn([u8; N]) -> i64) -> Step<()> {
        let value = Value::Int(of(self.array()?));
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, len: usize) -> Step<()> {
        if len > LONGEST_TEXT {
            return Err(format!("a text of {len} bytes"));
        }
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|error| error.to_string())?;
        let text = Value::Text(text.into());
        self.stack.push(text);
        Ok(())
    }

    fn class(&mut self, module: &str, name: &str) {
        self.stack.push(match module.len() + name.len() <= LONGEST_CLASS {
            true => Value::Class(format!("{module} {name}").into()),
            false => Value::Other,
        });
    }

    fn pop(&mut self) -> Step<Value> {
        self.stack.pop().ok_or_else(|| "the stack is empty".to_string())
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        let is_mark = |value: &Value| matches!(value, Value::Mark);
        let mark = self.stack.iter().rposition(is_mark).ok_or("there is no mark")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn put(&mut self, id: u32) -> Step<()> {
        let value = self.stack.last().cloned().ok_or("the stack is empty")?;
        self.memo.insert(id, value);
        Ok(())
    }

    fn get(&mut self, id: u32) -> Step<()> {
        let value = self.memo.get(&id).cloned().ok_or("nothing was put there")?;
        self.stack.push(value);
        Ok(())
    }

    fn tuple(&mut self, items: Vec<Value>) {
        let inner = items.iter().map(|item| match item {
            Value::Tuple(_, depth) => *depth,
            _ => 0,
        });
        let depth = 1 + inner.max().unwrap_or(0);
        self.stack.push(match depth <= DEEPEST {
            true => Value::Tuple(items.into(), depth),
            false => Value::Other,
        });
    }

    /// Appends to the list on top of the stack.
    fn append(&mut self, items: impl IntoIterator<Item = Value>) {
        let texts = items.into_iter().filter_map(|item| match item {
            Value::Text(text) => Some(text),
            _ => None,
        });
        if let Some(Value::List(list)) = self.stack.last() {
            list.borrow_mut().extend(texts);
        }
    }

    /// Sets a key of the dict on top of the stack.
    fn insert(&mut self, [key, value]: [Value; 2]) -> Step<()> {
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err("a key of what is no dict".to_string());
        };
        if let Value::Text(key) = key {
            let tensor = match value {
                Value::Tensor(tensor) => Some(tensor),
                _ => None,
            };
            let before = dict.borrow_mut().insert(key.to_string(), tensor);
            if before.flatten().is_some() {
                return Err(format!("there are two tensors `{key}`"));
            }
        }
        Ok(())
    }
}

/// Reads the id of a storage, `('storage', class, key, device, values)`. Before PyTorch 1.6 a view follows,
/// which is `None` since 0.4.
fn storage(id: &Value) -> Option<Value> {
    let Value::Tuple(items, _) = id else { return None };
    match &**items {
        [_, _, _, _, _, Value::Tuple(..)] => None,
        [Value::Text(kind), Value::Class(class), Value::Text(key), ..] if &**kind == "storage" => {
            let (class, key) = (class.clone(), key.clone());
            Some(Value::Storage(Rc::new(Storage { class, key })))
        }
        _ => None,
    }
}

/// The result of the three functions that state dicts call.
fn call(class: &Value, arguments: &Value) -> Step<Value> {
    let (Value::Class(class), Value::Tuple(arguments, _)) = (class, arguments) else {
        return Ok(Value::Other);
    };
    match &**class {
        "collections OrderedDict" => Ok(Value::Dict(Rc::default())),
        "torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state" => {
            Ok(arguments.first().cloned().unwrap_or(Value::Other))
        }
        "torch._utils _rebuild_tensor_v2" => match &**arguments {
            [Value::Storage(storage), Value::Int(offset), dims, strides, ..] => {
                let size = |size: i64| usize::try_from(size).map_err(|_| NO_SIZES.to_string());
                Ok(Value::Tensor(Rc::new(Pickled {
                    storage: storage.clone(),
                    offset: *offset,
                    dims: ints(dims)?.into_iter().map(size).collect::<Step<_>>()?,
                    strides: ints(strides)?,
                })))
            }
            _ => Err("a tensor without storage, shape and strides".to_string()),
        },
        _ => Ok(Value::Other),
    }
}

const NO_SIZES: &str = "a shape that is no tuple of sizes";

/// Reads a tuple of whole numbers.
fn ints(value: &Value) -> Step<Vec<i64>> {
    let wrong = || NO_SIZES.to_string();
    let Value::Tuple(items, 1) = value else { return Err(wrong()) };
    if items.len() > RANK {
        return Err(format!("a tensor of {} dimensions", items.len()));
    }
    let int = |item: &Value| match item {
        Value::Int(int) => Ok(*int),
        _ => Err(wrong()),
    };
    items.iter().map(int).collect()
}
