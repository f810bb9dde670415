//! All functions under `#[task]`, by which a call finds its function in another process.
//!
//! A call travels as the number of its function and its arguments. The numbers are places in the
//! list of all registered functions, sorted by name: the same in each process that runs the same
//! program.

use std::{any::TypeId, cell::Cell, fmt, sync::LazyLock};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
    ser::{self, SerializeTuple},
};

use crate::{
    message_loop::{
        Call,
        call::{Table, TaskEntry},
    },
    task::hash,
};

inventory::collect!(TaskEntry);

/// All entries, sorted by name.
pub(crate) struct Registry {
    by_name: Vec<Registered>,
    /// Places in `by_name`, sorted by the type of the function and its arguments. A function's table
    /// does not do as a key: there may be several.
    by_type: Vec<(TypeId, u32)>,
    fingerprint: u64,
}

/// An entry and its place in the registry.
struct Registered {
    index: u32,
    name: &'static str,
    entry: TaskEntry,
}

/// All functions of this program that are registered.
///
/// # Errors
///
/// When two of them have the same name.
pub(crate) fn registry() -> Result<&'static Registry, &'static str> {
    static REGISTRY: LazyLock<Result<Registry, String>> =
        LazyLock::new(|| Registry::new(inventory::iter::<TaskEntry>.into_iter().copied()));
    REGISTRY.as_ref().map_err(String::as_str)
}

impl Registry {
    fn new(entries: impl Iterator<Item = TaskEntry>) -> Result<Self, String> {
        let mut entries: Vec<TaskEntry> = entries.collect();
        entries.sort_by_key(|entry| (entry.path(), entry.id()));
        // `#[task]` twice on one function does no harm.
        entries.dedup_by_key(|entry| entry.id());
        let registered = |(index, entry): (u32, TaskEntry)| {
            let name = entry.path();
            Registered { index, name, entry }
        };
        let by_name: Vec<Registered> = (0..).zip(entries).map(registered).collect();
        if let Some(pair) = by_name.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(format!(
                "two functions under #[task] are called {}: rename one, because a task that \
                 travels to another process finds its function by name",
                pair[0].name
            ));
        }
        let mut by_type: Vec<_> = by_name.iter().map(|it| (it.entry.id(), it.index)).collect();
        by_type.sort_unstable();
        let names: Vec<&str> = by_name.iter().map(|it| it.name).collect();
        let fingerprint = hash(&names.join("\n"));
        Ok(Self { by_name, by_type, fingerprint })
    }

    /// The full names of all registered functions, sorted. A function's number is its place here.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.by_name.iter().map(|it| it.name)
    }

    /// The same in processes with the same names, and hardly ever in others.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn at(&self, index: u32) -> Result<&Registered, String> {
        self.by_name.get(index as usize).ok_or_else(|| {
            let count = self.by_name.len();
            format!("there is no function number {index}: {count} are under #[task] here")
        })
    }

    fn of_type(&self, id: TypeId) -> Option<&Registered> {
        let place = self.by_type.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.at(self.by_type[place].1).ok()
    }
}

/// So many tables are remembered by each thread.
const REMEMBERED: usize = 64;

/// A table and what was found for it.
type Found = Option<(&'static Table, &'static Registered)>;

thread_local! {
    /// What was found last, each in the place that its table's number gives it. Calls of a function
    /// are posted and written by the million, and a look here is cheaper than a search.
    static FOUND: [Cell<Found>; REMEMBERED] = const { [const { Cell::new(None) }; REMEMBERED] };
}

/// The entry of the function that `table` is for.
///
/// # Errors
///
/// When it is not registered, and when two registered functions have the same name.
#[inline]
fn find(table: &'static Table) -> Result<&'static Registered, String> {
    let place = table.number() % REMEMBERED;
    match FOUND.with(|found| found[place].get()) {
        Some((known, registered)) if std::ptr::eq(known, table) => Ok(registered),
        _ => search(table, place),
    }
}

#[cold]
#[inline(never)]
fn search(table: &'static Table, place: usize) -> Result<&'static Registered, String> {
    let registered = registry()?.of_type(table.id()).ok_or(
        "it is not registered: make it a function under #[task] (for a method put #[task] on the \
         impl block, too)",
    )?;
    FOUND.with(|found| found[place].set(Some((table, registered))));
    Ok(registered)
}

/// Refuses to post a call of a function that cannot travel, in a run whose tasks do.
///
/// # Panics
///
/// When the function is not registered.
#[inline(never)]
#[track_caller]
pub(crate) fn must_be_registered(table: &'static Table) {
    if let Err(why) = find(table) {
        let name = table.name();
        panic!("cannot post {name}: tasks of this run travel to other processes, and {why}");
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wrong = |why| {
            let name = self.table().name();
            ser::Error::custom(format_args!("a call of {name} cannot travel: {why}"))
        };
        let registered = find(self.table()).map_err(wrong)?;
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&registered.index)?;
        tuple.serialize_element(&Args { registered, call: self })?;
        tuple.end()
    }
}

/// The arguments of a call, to be written as bytes.
struct Args<'a> {
    registered: &'static Registered,
    call: &'a Call,
}

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { registered: Registered { entry, name, .. }, call } = self;
        with_scratch(|bytes| {
            let wrong = |why| ser::Error::custom(format_args!("the arguments of {name} {why}"));
            entry.encode(call, bytes).map_err(wrong)?;
            serializer.serialize_bytes(bytes)
        })
    }
}

/// Lends an empty vector, which keeps its memory for the next call unless that is much.
fn with_scratch<O>(f: impl FnOnce(&mut Vec<u8>) -> O) -> O {
    const KEPT: usize = 64 << 10;
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken out while it is used: an argument's `Serialize` might write a call, too.
    let mut bytes = SCRATCH.take();
    let result = f(&mut bytes);
    if bytes.capacity() <= KEPT {
        bytes.clear();
        SCRATCH.set(bytes);
    }
    result
}

impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, ToCall)
    }
}

/// Reads the number of a function, then its arguments.
struct ToCall;

impl<'de> Visitor<'de> for ToCall {
    type Value = Call;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a function and its arguments as bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Call, A::Error> {
        let missing = |place| de::Error::invalid_length(place, &self);
        let index = seq.next_element()?.ok_or_else(|| missing(0))?;
        let registered =
            registry().map_err(de::Error::custom)?.at(index).map_err(de::Error::custom)?;
        seq.next_element_seed(ToArgs(registered))?.ok_or_else(|| missing(1))
    }
}

/// Reads the arguments for a call of a function.
struct ToArgs(&'static Registered);

impl<'de> DeserializeSeed<'de> for ToArgs {
    type Value = Call;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Call, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for ToArgs {
    type Value = Call;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the arguments of {} as bytes", self.0.name)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Call, E> {
        let Registered { entry, name, .. } = self.0;
        let wrong = |why| E::custom(format_args!("the arguments of {name} {why}"));
        entry.decode(bytes).map_err(wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Call, A::Error> {
        // Formats without bytes of their own write them as numbers.
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        self.visit_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap, ops::Range};

    use super::*;
    use crate::task;
    use crate::{
        codec::{Bytes, decode, to_bytes},
        failure::TaskResult,
        message_loop::task_fn::State,
        task::{Labeled, data_text},
    };

    thread_local! {
        /// What the functions of these tests were called with.
        static CALLED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn called(with: String) {
        CALLED.with_borrow_mut(|called| called.push(with));
    }

    #[task]
    fn none() {
        called("none".to_string());
    }

    #[task]
    fn one(n: u64) {
        called(format!("one {n}"));
    }

    #[task]
    fn pair((a, b): (u8, i8)) {
        called(format!("pair {a} {b}"));
    }

    #[task]
    fn several(a: u64, b: String, c: Vec<Option<char>>, d: BTreeMap<u8, f64>) -> TaskResult {
        called(format!("several {a} {b} {c:?} {d:?}"));
        Ok(())
    }

    #[task]
    fn wide(numbers: [u64; 20]) {
        called(format!("wide {}", numbers.iter().sum::<u64>()));
    }

    #[task]
    fn range(numbers: Range<u64>) {
        called(format!("range {numbers:?}"));
    }

    fn unregistered(_: u64) {}

    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    struct Scale {
        factor: u64,
    }

    #[task]
    impl Scale {
        #[task]
        fn none(&self) {
            called(format!("{} none", self.factor));
        }

        #[task]
        fn one(&self, n: u64) {
            called(format!("{} one {n}", self.factor));
        }

        #[task]
        fn two(&self, other: Self, text: String) -> TaskResult {
            called(format!("{} two {} {text}", self.factor, other.factor));
            Ok(())
        }

        #[task]
        #[cfg(any())]
        fn is_not_there(&self, n: Nothing) {}

        fn is_not_a_task(&self, _: u64) {}
    }

    #[task]
    #[cfg(any())]
    fn is_not_there(n: Nothing) {}

    fn copy_of(call: &Call) -> Call {
        decode(&to_bytes(call).expect("the call can be written")).expect("and read")
    }

    /// What `call` is told to call, after it has travelled.
    fn ran(call: &Call) -> String {
        let copy = copy_of(call);
        assert_eq!(copy.label(), call.label());
        assert_eq!(data_text(&copy), data_text(call));
        // The copy travels as well as what it was made from.
        assert_eq!(to_bytes(&copy), to_bytes(call));
        let state = Scale { factor: 7 };
        copy.run(State::new(&state)).expect("these functions do not fail");
        let called = CALLED.take();
        assert_eq!(called.len(), 1, "{called:?}");
        called.concat()
    }

    #[test]
    fn calls_travel_with_arguments_of_any_size() {
        assert_eq!(ran(&Call::new(none, ())), "none");
        assert_eq!(ran(&Call::new(one, u64::MAX)), "one 18446744073709551615");
        assert_eq!(ran(&Call::new(pair, (1, -1))), "pair 1 -1");
        let several_args =
            (1, "zwölf".to_string(), vec![None, Some('x')], BTreeMap::from([(1, 0.5)]));
        let called = "several 1 zwölf [None, Some('x')] {1: 0.5}";
        assert_eq!(ran(&Call::new(several, several_args)), called);
        assert_eq!(ran(&Call::new(wide, [3; 20])), "wide 60");
        assert_eq!(ran(&Call::new(range, 3..9)), "range 3..9");
    }

    #[test]
    fn methods_travel_without_their_state() {
        assert_eq!(ran(&Call::new(Scale::none, ())), "7 none");
        assert_eq!(ran(&Call::new(Scale::one, 12)), "7 one 12");
        let args = (Scale { factor: 8 }, "x".to_string());
        assert_eq!(ran(&Call::new(Scale::two, args)), "7 two 8 x");
    }

    #[test]
    fn functions_inside_of_functions_are_told_apart() {
        fn outer() -> Call {
            #[task]
            fn one(n: u64) {
                called(format!("inner {n}"));
            }
            Call::new(one, 5)
        }
        assert_eq!(ran(&outer()), "inner 5");
        assert_eq!(ran(&Call::new(one, 5)), "one 5");
    }

    #[test]
    fn every_function_is_found_by_its_number_and_its_type() {
        let registry = registry().expect("no name is there twice");
        let names: Vec<&str> = registry.names().collect();
        assert!(names.is_sorted());
        let here = "prunner::message_loop::registry::tests::";
        let mine: Vec<&str> = names.iter().filter_map(|it| it.strip_prefix(here)).collect();
        let inner = "functions_inside_of_functions_are_told_apart::outer::one";
        let methods = ["Scale::none", "Scale::one", "Scale::two"];
        let functions = ["none", "odd", "one", "pair", "range", "several", "wide"];
        assert_eq!(mine, [&methods[..], &[inner], &functions].concat());
        for (index, name) in (0..).zip(names) {
            let registered = registry.at(index).expect("there are so many");
            assert_eq!((registered.index, registered.name), (index, name));
            let found = registry.of_type(registered.entry.id()).expect("it is there");
            assert_eq!(found.index, index);
        }
    }

    /// Functions that are remembered in one place, as some of any program of more than 64 are.
    #[test]
    fn a_function_is_not_mistaken_for_another_that_was_found_before() {
        let all = [Call::new(one, 1).table(), Call::new(none, ()).table()];
        let tables: Vec<Table> = (0..=REMEMBERED).map(|at| *all[at / REMEMBERED]).collect();
        let tables: &'static [Table] = tables.leak();
        let (one, none) = (&tables[0], &tables[REMEMBERED]);
        assert_eq!(one.number() % REMEMBERED, none.number() % REMEMBERED);
        for _ in 0..2 {
            for table in [one, none] {
                let found = find(table).expect("it is registered");
                assert_eq!(found.entry.id(), table.id(), "{} was found", found.name);
            }
        }
    }

    #[test]
    fn the_fingerprint_depends_on_the_names_alone() {
        let entries = || {
            [TaskEntry::of(&one), TaskEntry::of(&none), TaskEntry::of::<_, u64, _>(&Scale::one)]
                .into_iter()
        };
        let of = |entries: &mut dyn Iterator<Item = TaskEntry>| {
            Registry::new(entries).expect("names differ")
        };
        let all = of(&mut entries());
        assert_eq!(all.fingerprint(), of(&mut entries().rev()).fingerprint());
        assert_ne!(all.fingerprint(), of(&mut entries().skip(1)).fingerprint());
        // A change of this number is a change of what travels.
        assert_eq!(of(&mut std::iter::empty()).fingerprint(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(
            of(&mut entries().take(1)).fingerprint(),
            hash("prunner::message_loop::registry::tests::one")
        );
    }

    #[test]
    fn a_function_may_be_registered_twice_but_not_a_name() {
        let twice = Registry::new([TaskEntry::of(&one), TaskEntry::of(&one)].into_iter());
        assert_eq!(twice.ok().map(|registry| registry.names().len()), Some(1));
        fn first() -> TaskEntry {
            TaskEntry::of(&{
                fn same(_: u8) {}
                same
            })
        }
        fn second() -> [TaskEntry; 2] {
            let first = {
                fn same(_: u8) {}
                TaskEntry::of(&same)
            };
            let second = {
                fn same(_: u8) {}
                TaskEntry::of(&same)
            };
            [first, second]
        }
        assert!(Registry::new([first(), second()[0]].into_iter()).is_ok());
        let error = Registry::new(second().into_iter()).err().expect("both have the same name");
        assert!(
            error
                .contains("tests::a_function_may_be_registered_twice_but_not_a_name::second::same"),
            "{error}"
        );
        assert!(error.contains("rename one"), "{error}");
    }

    #[test]
    fn a_function_that_is_not_registered_cannot_travel() {
        let captured = 5_u64;
        for (call, name) in [
            (Call::new(unregistered, 1_u64), "message_loop::registry::tests::unregistered"),
            (
                Call::new(Scale::is_not_a_task, 1_u64),
                "message_loop::registry::tests::Scale::is_not_a_task",
            ),
            (Call::new(move |n: u64| _ = n + captured, 1_u64), "{{closure}}"),
            (Call::new(unregistered as fn(u64), 1_u64), "fn(u64)"),
        ] {
            let error = to_bytes(&call).expect_err("it is not registered").to_string();
            assert!(
                error.contains(&format!("{name} cannot travel: it is not registered")),
                "{error}"
            );
            assert!(error.contains("make it a function under #[task]"), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_call_are_errors() {
        let error = |bytes: &[u8]| decode::<Call>(bytes).expect_err("this is no call").to_string();
        let number = registry().expect("names differ").of_type(TaskEntry::of(&one).id());
        let number = number.expect("it is registered").index;

        let unknown = error(&to_bytes(&(u32::MAX, Bytes(vec![]))).expect("numbers can be written"));
        assert!(unknown.contains("no function number 4294967295"), "{unknown}");
        assert!(unknown.contains("are under #[task] here"), "{unknown}");

        let call = |args: &[u8]| error(&to_bytes(&(number, Bytes(args.to_vec()))).expect("bytes"));
        for (args, why) in
            [(&[][..], "0 bytes"), (&[1, 2], "1 bytes are left over"), (&[255; 9], "9 bytes")]
        {
            let malformed = call(args);
            let name =
                "the arguments of prunner::message_loop::registry::tests::one cannot be read";
            assert!(malformed.contains(name) && malformed.contains(why), "{malformed}");
        }
        error(&[]);
        let whole = to_bytes(&Call::new(one, 1)).expect("a call can be written");
        error(&whole[..whole.len() - 1]);
        error(&[&whole[..], &[0]].concat());
    }

    /// Cannot be written, but a call of it is written on the way.
    #[derive(Clone, Deserialize)]
    struct Odd(u8);

    impl Serialize for Odd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert_eq!(ran(&Call::new(one, 1)), "one 1");
            match self.0 {
                0 => Err(ser::Error::custom("this is odd")),
                n => n.serialize(serializer),
            }
        }
    }

    #[task]
    fn odd(odd: Odd) {
        called(format!("odd {}", odd.0));
    }

    #[test]
    fn an_argument_may_write_calls_or_fail_to_be_written() {
        let copy = copy_of(&Call::new(odd, Odd(9)));
        copy.run(State::new(&())).expect("it does not fail");
        assert_eq!(CALLED.take(), ["odd 9"]);
        let error = to_bytes(&Call::new(odd, Odd(0))).expect_err("it is odd").to_string();
        assert!(
            error.contains("the arguments of prunner::message_loop::registry::tests::odd cannot"),
            "{error}"
        );
        assert!(error.contains("this is odd"), "{error}");
    }
}
