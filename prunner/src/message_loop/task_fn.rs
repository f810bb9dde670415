//! Which functions can be posted: of one argument, of several, methods of the loop's state.

use std::{
    any::{TypeId, type_name},
    marker::PhantomData,
    ptr::NonNull,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::failure::{TaskError, TaskResult};

/// What a posted function may be called with.
///
/// The arguments may have to travel to another process, and a task that is started again needs them
/// again: so they are serde types that can be cloned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the argument of a posted function",
    note = "arguments are `Clone + Serialize + Deserialize + Send + 'static`: derive what is missing, \
            and take a `String` for a `&str`"
)]
pub trait TaskArgs: Clone + Serialize + DeserializeOwned + Send + 'static {}

impl<A: Clone + Serialize + DeserializeOwned + Send + 'static> TaskArgs for A {}

/// A function that can be posted with arguments `A`.
///
/// * a function of one argument: `post_task(f, a)`;
/// * of none, or of two to four: `post_task(f, ())`, `post_task(f, (a, b))`;
/// * a method of the [state](crate::MessageLoop::with_state): `post_task(Job::add, a)`, with the
///   same forms of arguments.
///
/// It returns nothing or a [`TaskResult`]. Closures are functions, too, on threads. `M` only keeps
/// the forms apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "this function cannot be posted with an argument of type `{A}`",
    label = "does not take `{A}`, or returns something else than `()` or a `TaskResult`",
    note = "post_task(f, a) is for `fn f(a: A)`; of two to four arguments: post_task(f, (a, b))",
    note = "a method of the loop's state, `fn f(&self, a: A)`, is posted as post_task(Type::f, a)",
    note = "an error that it returns is sent between threads: `Box<dyn Error + Send + Sync>`, not \
            `Box<dyn Error>`"
)]
pub trait TaskFn<M, A>: Send + 'static {
    /// Calls the function; `state` is the message loop's.
    ///
    /// # Errors
    ///
    /// The error of the function.
    #[doc(hidden)]
    fn call(&self, state: State<'_>, args: A) -> TaskResult;

    /// The type of the state that the function is a method of, if it is one.
    #[doc(hidden)]
    fn state() -> Option<StateType> {
        None
    }
}

/// The type of state that a method wants.
#[derive(Clone, Copy, Debug)]
pub struct StateType {
    id: TypeId,
    pub(crate) name: fn() -> &'static str,
}

impl StateType {
    fn of<S: 'static>() -> Self {
        Self { id: TypeId::of::<S>(), name: type_name::<S> }
    }
}

/// The state of a message loop.
///
/// A `&dyn Any` would do, but asking it for its type is a call through its table, twice a task. And this is
/// written anew with each task: a type's id that was just written, in two halves, and is read as a whole
/// would hold the processor up, so it stays where it is.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    id: &'static TypeId,
    state: NonNull<()>,
    borrowed: PhantomData<&'a ()>,
}

impl<'a> State<'a> {
    pub(crate) fn new<S: 'static>(state: &'a S) -> Self {
        let id = const { &TypeId::of::<S>() };
        Self { id, state: NonNull::from(state).cast(), borrowed: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn is(self, wanted: StateType) -> bool {
        *self.id == wanted.id
    }

    #[inline(always)]
    fn get<S: 'static>(self) -> Option<&'a S> {
        // SAFETY: `new` took the type's id from the very reference that it keeps, which lives for `'a`.
        (*self.id == TypeId::of::<S>()).then(|| unsafe { self.state.cast::<S>().as_ref() })
    }
}

/// What a posted function may return.
///
/// ```
/// use prunner::signature::IntoTaskResult;
///
/// assert!(().into_task_result().is_ok());
/// assert!(Err::<(), _>("it failed").into_task_result().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "a task returns nothing or a `TaskResult`, not `{Self}`",
    note = "an error may be of any type that `?` converts into a `TaskError`: one that is sent between \
            threads, so `Box<dyn Error + Send + Sync>` and not `Box<dyn Error>`"
)]
pub trait IntoTaskResult {
    /// The result of the task.
    ///
    /// # Errors
    ///
    /// The error that was returned.
    fn into_task_result(self) -> TaskResult;
}

impl IntoTaskResult for () {
    #[inline(always)]
    fn into_task_result(self) -> TaskResult {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<TaskError>> IntoTaskResult for Result<(), E> {
    #[inline(always)]
    fn into_task_result(self) -> TaskResult {
        self.map_err(Into::into)
    }
}

/// Marks functions that take the whole argument.
#[derive(Debug)]
pub struct Whole<O>(PhantomData<fn() -> O>);

/// Marks functions that take the argument, a tuple, apart.
#[derive(Debug)]
pub struct Apart<O>(PhantomData<fn() -> O>);

/// Marks methods that take the whole argument.
#[derive(Debug)]
pub struct MethodWhole<S, O>(PhantomData<fn(S) -> O>);

/// Marks methods that take the argument, a tuple, apart.
#[derive(Debug)]
pub struct MethodApart<S, O>(PhantomData<fn(S) -> O>);

impl<F, A, O> TaskFn<Whole<O>, A> for F
where
    F: Fn(A) -> O + Send + 'static,
    O: IntoTaskResult,
{
    #[inline(always)]
    fn call(&self, _: State<'_>, args: A) -> TaskResult {
        self(args).into_task_result()
    }
}

impl<F, S, A, O> TaskFn<MethodWhole<S, O>, A> for F
where
    F: Fn(&S, A) -> O + Send + 'static,
    S: 'static,
    O: IntoTaskResult,
{
    #[inline(always)]
    fn call(&self, state: State<'_>, args: A) -> TaskResult {
        self(state_of(state), args).into_task_result()
    }

    fn state() -> Option<StateType> {
        Some(StateType::of::<S>())
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<F, O, $($name),*> TaskFn<Apart<O>, ($($name,)*)> for F
        where
            F: Fn($($name),*) -> O + Send + 'static,
            O: IntoTaskResult,
        {
            #[inline(always)]
            #[allow(non_snake_case)]
            fn call(&self, _: State<'_>, ($($name,)*): ($($name,)*)) -> TaskResult {
                self($($name),*).into_task_result()
            }
        }

        impl<F, S, O, $($name),*> TaskFn<MethodApart<S, O>, ($($name,)*)> for F
        where
            F: Fn(&S, $($name),*) -> O + Send + 'static,
            S: 'static,
            O: IntoTaskResult,
        {
            #[inline(always)]
            #[allow(non_snake_case)]
            fn call(&self, state: State<'_>, ($($name,)*): ($($name,)*)) -> TaskResult {
                self(state_of(state), $($name),*).into_task_result()
            }

            fn state() -> Option<StateType> {
                Some(StateType::of::<S>())
            }
        }
    };
}

tuples!();
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

#[inline(always)]
fn state_of<S: 'static>(state: State<'_>) -> &S {
    state.get().expect("checked when the method was posted")
}

/// What a message loop may begin and end with: a function of no argument, or a method of the state.
///
/// ```
/// use prunner::MessageLoop;
/// use prunner::signature::LoopHook;
///
/// /// A message loop that says when it is over.
/// fn announced<M>(begin: impl LoopHook<M>) -> MessageLoop {
///     MessageLoop::new(begin, || println!("over"))
/// }
///
/// prunner::Runner::new(announced(|| ())).start()?;
/// # Ok::<(), prunner::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a message loop cannot begin or end with this",
    note = "it takes `fn f()` or a method of its state, `fn f(&self)`; both may return a `TaskResult`"
)]
pub trait LoopHook<M>: Send + Sync + 'static {
    /// Calls the function; `state` is the message loop's.
    ///
    /// # Errors
    ///
    /// The error of the function.
    #[doc(hidden)]
    fn call(&self, state: State<'_>) -> TaskResult;
}

impl<F, O> LoopHook<Whole<O>> for F
where
    F: Fn() -> O + Send + Sync + 'static,
    O: IntoTaskResult,
{
    fn call(&self, _: State<'_>) -> TaskResult {
        self().into_task_result()
    }
}

impl<F, S, O> LoopHook<MethodWhole<S, O>> for F
where
    F: Fn(&S) -> O + Send + Sync + 'static,
    S: 'static,
    O: IntoTaskResult,
{
    fn call(&self, state: State<'_>) -> TaskResult {
        match state.get() {
            Some(state) => self(state).into_task_result(),
            None => Err(missing_state(type_name::<S>()).into()),
        }
    }
}

/// What to say when a method is not of the loop's state.
pub(crate) fn missing_state(wanted: &str) -> String {
    format!(
        "it is a method of {wanted}, which is not the state of this message loop: set it with \
         MessageLoop::new(begin, end).with_state(..)"
    )
}
