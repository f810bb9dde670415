//! A posted call: a function and its arguments in 24 bytes.
//!
//! A `Box<dyn FnOnce>` a task costs an allocation that is often freed on another thread: measured,
//! 94 ns a task with two workers. So a call is a pointer to a static table and 16 bytes in which
//! small arguments lie inline; larger ones are boxed. How a call travels to another process is in
//! [`registry`](crate::registry).

use std::{
    any::{TypeId, type_name},
    fmt,
    marker::PhantomData,
    mem::{MaybeUninit, align_of, needs_drop, size_of},
    ptr::NonNull,
};

use crate::{
    codec::{self, CodecError},
    failure::TaskResult,
    message_loop::task_fn::{State, TaskArgs, TaskFn},
    task::Labeled,
};

/// A function and its arguments, to be run by the message loop.
///
/// A runner around a message loop sees its calls:
///
/// ```
/// use prunner::signature::Call;
/// use prunner::{Context, Dict, Labeled, MessageLoop, ParallelTaskRunner, Runner, TaskResult, post_task};
///
/// struct Loud(MessageLoop);
///
/// impl ParallelTaskRunner for Loud {
///     type Task = Call;
///
///     fn begin(&self, cx: &mut Context<'_, Call>) -> TaskResult {
///         self.0.begin(cx)
///     }
///     fn run(&self, call: &Call, cx: &mut Context<'_, Call>) -> TaskResult {
///         println!("{} on worker {}", call.label(), cx.worker());
///         self.0.run(call, cx)
///     }
///     fn end(&self, dict: &Dict) -> TaskResult {
///         self.0.end(dict)
///     }
/// }
///
/// fn greet(name: String) {
///     println!("Hello, {name}.");
/// }
///
/// let begin = || post_task(greet, "world".to_string());
/// Runner::new(Loud(MessageLoop::new(begin, || ()))).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
pub struct Call {
    table: &'static Table,
    payload: Payload,
}

/// Room for a small function and its arguments, or for the pointer to a box of them.
type Payload = MaybeUninit<[usize; 2]>;

/// What can be done with a payload of one type.
///
/// Aligned, so that its address makes a number without a division: see [`Table::number`].
#[repr(align(64))]
#[cfg_attr(test, derive(Clone, Copy))]
pub(crate) struct Table {
    /// Calls the function with a copy of the arguments.
    run: unsafe fn(&Payload, State<'_>) -> TaskResult,
    /// Writes the arguments.
    fmt: unsafe fn(&Payload, &mut fmt::Formatter<'_>) -> fmt::Result,
    /// `None` where there is nothing to be done, which is usual and spares a call a task.
    drop: Option<unsafe fn(&mut Payload)>,
    name: fn() -> &'static str,
    /// Of the function and its arguments. There may be several tables for one type: each codegen unit
    /// may have its own.
    id: TypeId,
}

impl Table {
    /// A number for the function: its tables lie side by side, so this gives them numbers side by side.
    #[inline(always)]
    pub(crate) fn number(&'static self) -> usize {
        std::ptr::from_ref(self).addr() / size_of::<Self>()
    }

    #[inline(always)]
    pub(crate) fn id(&self) -> TypeId {
        self.id
    }

    /// The path of the function without its crate.
    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }
}

/// The table for functions of type `F` with arguments `A`.
struct TableOf<F, M, A>(PhantomData<fn(F, M, A)>);

impl Call {
    pub(crate) fn new<M, A: TaskArgs, F: TaskFn<M, A>>(function: F, args: A) -> Self {
        let mut payload = Payload::uninit();
        Stored::<(F, A)>::put(&mut payload, (function, args));
        Self { table: TableOf::<F, M, A>::TABLE, payload }
    }

    /// The table of a call of such a function.
    #[inline(always)]
    pub(crate) fn table_of<M, A: TaskArgs, F: TaskFn<M, A>>() -> &'static Table {
        TableOf::<F, M, A>::TABLE
    }

    #[inline(always)]
    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// Calls the function with a copy of the arguments and, if it is a method, the loop's state.
    #[inline(always)]
    pub(crate) fn run(&self, state: State<'_>) -> TaskResult {
        // SAFETY: the table was made for the type that `new` put into the payload.
        unsafe { (self.table.run)(&self.payload, state) }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if let Some(drop) = self.table.drop {
            // SAFETY: the table was made for the type that `new` put into the payload, and nobody
            // uses the payload afterwards.
            unsafe { drop(&mut self.payload) }
        }
    }
}

// SAFETY: the payload is a function and arguments, both `Send`, or a box of them.
unsafe impl Send for Call {}

impl<F: TaskFn<M, A>, M, A: TaskArgs> TableOf<F, M, A> {
    const TABLE: &'static Table = &Table {
        run: Self::run,
        fmt: Self::fmt,
        drop: if Stored::<(F, A)>::NEEDS_DROP { Some(Self::drop) } else { None },
        name: short_name::<F>,
        id: TypeId::of::<(F, A)>(),
    };

    /// # Safety
    ///
    /// `payload` holds a `(F, A)`.
    unsafe fn run(payload: &Payload, state: State<'_>) -> TaskResult {
        // SAFETY: as the caller promises.
        let (function, args) = unsafe { Stored::<(F, A)>::get(payload) };
        function.call(state, args.clone())
    }

    /// # Safety
    ///
    /// `payload` holds a `(F, A)`.
    unsafe fn fmt(payload: &Payload, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: as the caller promises.
        let (_, args) = unsafe { Stored::<(F, A)>::get(payload) };
        fmt::Debug::fmt(&serde_fmt::to_debug(args), f)
    }

    /// # Safety
    ///
    /// `payload` holds a `(F, A)` and is not used afterwards.
    unsafe fn drop(payload: &mut Payload) {
        // SAFETY: as the caller promises.
        unsafe { Stored::<(F, A)>::drop(payload) }
    }

    /// Appends the arguments as bytes.
    ///
    /// # Safety
    ///
    /// `payload` holds a `(F, A)`.
    unsafe fn encode(payload: &Payload, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        // SAFETY: as the caller promises.
        let (_, args) = unsafe { Stored::<(F, A)>::get(payload) };
        codec::encode(args, bytes)
    }

    /// Makes a call with the arguments that these bytes are.
    ///
    /// # Safety
    ///
    /// There has been an `F`.
    unsafe fn decode(bytes: &[u8]) -> Result<Call, CodecError>
    where
        F: Copy,
    {
        const { assert!(size_of::<F>() == 0, "a function that travels captures nothing") };
        let args = codec::decode::<A>(bytes)?;
        // SAFETY: an `F` has no bytes and can be copied, and the caller has had one to copy.
        let function = unsafe { NonNull::<F>::dangling().read() };
        Ok(Call::new(function, args))
    }
}

/// A function under `#[task]`: what makes its calls travel. The macro makes one for each.
///
/// # Design
///
/// All this is not in the call's table, so that a program that registers nothing has no code for it.
#[derive(Clone, Copy)]
pub struct TaskEntry {
    table: &'static Table,
    path: fn() -> &'static str,
    encode: unsafe fn(&Payload, &mut Vec<u8>) -> Result<(), CodecError>,
    decode: unsafe fn(&[u8]) -> Result<Call, CodecError>,
}

impl TaskEntry {
    /// The entry of this function. It does not compile if the function cannot be posted.
    pub const fn of<M, A: TaskArgs, F: TaskFn<M, A> + Copy>(_: &F) -> Self {
        Self {
            table: TableOf::<F, M, A>::TABLE,
            path: type_name::<F>,
            encode: TableOf::<F, M, A>::encode,
            decode: TableOf::<F, M, A>::decode,
        }
    }

    pub(crate) fn id(&self) -> TypeId {
        self.table.id
    }

    /// The full path of the function, its crate included.
    ///
    /// `module_path!()` and the name would mix up functions inside of functions and methods of
    /// several types in a module.
    pub(crate) fn path(&self) -> &'static str {
        (self.path)()
    }

    /// Appends the arguments of a call of this function to `bytes`.
    pub(crate) fn encode(&self, call: &Call, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        assert!(call.table.id == self.table.id, "a call of {} is another's", call.table.name());
        // SAFETY: the call's table was made for its payload, and both tables are for the same type.
        unsafe { (self.encode)(&call.payload, bytes) }
    }

    /// A call of this function with the arguments that these bytes are.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Call, CodecError> {
        // SAFETY: `of` was shown the function.
        unsafe { (self.decode)(bytes) }
    }
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskEntry").field(&self.path()).finish()
    }
}

/// How a `T` lies in a payload.
struct Stored<T>(PhantomData<T>);

impl<T> Stored<T> {
    const INLINE: bool =
        size_of::<T>() <= size_of::<Payload>() && align_of::<T>() <= align_of::<Payload>();

    const NEEDS_DROP: bool = needs_drop::<T>() || !Self::INLINE;

    #[inline(always)]
    fn put(payload: &mut Payload, value: T) {
        if Self::INLINE {
            // SAFETY: the payload is large and aligned enough for a `T`.
            unsafe { payload.as_mut_ptr().cast::<T>().write(value) }
        } else {
            let boxed = Box::into_raw(Box::new(value));
            // SAFETY: the payload is large and aligned enough for a pointer.
            unsafe { payload.as_mut_ptr().cast::<*mut T>().write(boxed) }
        }
    }

    /// # Safety
    ///
    /// `payload` holds a `T`.
    #[inline(always)]
    unsafe fn get(payload: &Payload) -> &T {
        let place = payload.as_ptr();
        if Self::INLINE {
            // SAFETY: `put` wrote a `T` here.
            unsafe { &*place.cast::<T>() }
        } else {
            // SAFETY: `put` wrote the pointer to a boxed `T` here, which lives until `drop`.
            unsafe { &**place.cast::<*mut T>() }
        }
    }

    /// # Safety
    ///
    /// `payload` holds a `T` and is not used afterwards.
    #[inline(always)]
    unsafe fn drop(payload: &mut Payload) {
        let place = payload.as_mut_ptr();
        if Self::INLINE {
            // SAFETY: `put` wrote a `T` here, and it is dropped once.
            unsafe { place.cast::<T>().drop_in_place() }
        } else {
            // SAFETY: `put` wrote a pointer here.
            let boxed = unsafe { *place.cast::<*mut T>() };
            // SAFETY: that came from `Box::into_raw`, and it is dropped once.
            drop(unsafe { Box::from_raw(boxed) });
        }
    }
}

/// The path of a function without its crate: `add_one`, `Job::add`, `main::{{closure}}`. What does not
/// begin with a crate, such as the type of a function pointer, stays as it is.
pub(crate) fn short_name<F>() -> &'static str {
    let path = type_name::<F>();
    let is_name = |text: &str| text.chars().all(|it| it.is_alphanumeric() || it == '_');
    match path.split_once("::") {
        Some((before, rest)) if is_name(before) => rest,
        _ => path,
    }
}

impl Labeled for Call {
    fn label(&self) -> &str {
        self.table.name()
    }

    #[inline(always)]
    fn label_id(&self) -> u64 {
        // One function may have several tables, so several ids: reports join them by label.
        self.table.number() as u64
    }

    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the table was made for the type that `new` put into the payload.
        unsafe { (self.table.fmt)(&self.payload, f) }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.label()).finish()
    }
}

const _: () = assert!(size_of::<Call>() == 3 * size_of::<usize>());

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::task::data_text;

    fn nothing() {}
    fn one(_: u8) {}
    fn three(_: u64, _: u64, _: String) {}

    #[test]
    fn arguments_of_any_size_are_shown() {
        assert_eq!(data_text(&Call::new(nothing, ())).as_deref(), Some("()"));
        assert_eq!(data_text(&Call::new(one, 7)).as_deref(), Some("7"));
        let big = Call::new(three, (1, 2, "x".to_string()));
        assert_eq!(data_text(&big).as_deref(), Some("(1, 2, \"x\")"));
        assert_eq!(big.label(), "message_loop::call::tests::three");
    }

    /// Counts how many of it live.
    #[derive(Debug)]
    struct Alive(Arc<AtomicUsize>);

    impl Alive {
        fn new(count: &Arc<AtomicUsize>) -> Self {
            count.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(count))
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// An over-aligned argument does not fit inline.
    #[derive(Clone, Serialize, Deserialize)]
    #[repr(align(64))]
    struct Aligned(u8);

    #[test]
    fn captures_are_dropped_once_inline_and_boxed() {
        let count = Arc::new(AtomicUsize::new(0));
        let small = Alive::new(&count);
        let inline = Call::new(move |_: u8| _ = &small, 1_u8);
        let (large, pad) = (Alive::new(&count), [0_u64; 4]);
        let boxed = Call::new(move |_: u8| _ = (&large, pad), 1_u8);
        let aligned = Call::new(
            |aligned: Aligned| assert_eq!(std::ptr::from_ref(&aligned).addr() % 64, 0),
            Aligned(3),
        );
        for call in [inline, boxed, aligned] {
            call.run(State::new(&())).expect("these functions do not fail");
            call.run(State::new(&())).expect("a call may be run again");
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
