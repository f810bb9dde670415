//! What plain functions reach while a hook or a task runs on this thread: the context of the loop that has
//! called them.

use std::{
    cell::Cell,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use super::{
    call::{Call, short_name},
    task_fn::{State, TaskArgs, TaskFn, missing_state},
};
use crate::{dict::Dict, failure::TaskResult, handler::Context};

thread_local! {
    /// The hook or task that runs on this thread, or null.
    static CURRENT: Cell<*const Frame<'static>> = const { Cell::new(std::ptr::null()) };
}

/// What the functions of the message loop reach while a hook or a task runs on this thread.
pub(super) struct Frame<'a> {
    /// The context; taken out while it is used, because a program's `merge` or `clone` might call
    /// back into the message loop.
    cx: Cell<Option<NonNull<Context<'a, Call>>>>,
    /// The dict, in `end`.
    pub(super) end: Option<&'a Dict>,
    state: State<'a>,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub(super) fn running(cx: &'a mut Context<'_, Call>, state: State<'a>) -> Self {
        let cx = NonNull::from(cx).cast::<Context<'a, Call>>();
        Self { cx: Cell::new(Some(cx)), end: None, state }
    }

    pub(super) fn ending(dict: &'a Dict, state: State<'a>) -> Self {
        Self { cx: Cell::new(None), end: Some(dict), state }
    }

    /// Runs `f` with this frame as the thread's current one; frames of nested runs stack up.
    #[inline(always)]
    pub(super) fn enter(&self, f: impl FnOnce() -> TaskResult) -> TaskResult {
        struct Restore(*const Frame<'static>);
        impl Drop for Restore {
            #[inline(always)]
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _restore = Restore(CURRENT.replace(std::ptr::from_ref(self).cast()));
        f()
    }

    /// Lends the context.
    #[inline(always)]
    #[track_caller]
    pub(super) fn context(&self, what: &'static str) -> Lent<'_, 'a> {
        let Some(cx) = self.cx.take() else { self.no_context(what) };
        Lent { frame: self, cx }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn no_context(&self, what: &str) -> ! {
        if self.end.is_some() {
            panic!(
                "{what} called in `end`: no task runs any more and nobody else can touch the dict; \
                 read it with dict().get(..)"
            );
        }
        panic!("{what} called inside another call of the message loop, from a Merge or Clone");
    }

    /// A method must be of this loop's state, which its function item does not show.
    #[inline(always)]
    #[track_caller]
    pub(super) fn check_state<M, A: TaskArgs, F: TaskFn<M, A>>(&self) {
        if let Some(wanted) = F::state()
            && !self.state.is(wanted)
        {
            panic!("cannot post {}: {}", short_name::<F>(), missing_state((wanted.name)()));
        }
    }
}

/// The context of a frame, which has none until this is dropped.
pub(super) struct Lent<'f, 'a> {
    frame: &'f Frame<'a>,
    cx: NonNull<Context<'a, Call>>,
}

impl<'a> Deref for Lent<'_, 'a> {
    type Target = Context<'a, Call>;

    #[inline(always)]
    fn deref(&self) -> &Context<'a, Call> {
        // SAFETY: as in `deref_mut`.
        unsafe { self.cx.as_ref() }
    }
}

impl<'a> DerefMut for Lent<'_, 'a> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Context<'a, Call> {
        // SAFETY: `running` got the context as `&mut` for as long as the frame lives, which is borrowed,
        // and it was taken out, so that this is the only way to it.
        unsafe { self.cx.as_mut() }
    }
}

impl Drop for Lent<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.frame.cx.set(Some(self.cx));
    }
}

/// A call of a function of the message loop. It is made on the stack of that function and never leaves it: so
/// it does not outlive the hook or task that has called it.
///
/// A function with a closure would do without that, but the place of a panic inside a closure is not that
/// of the program's call.
pub(super) struct Here(PhantomData<*const ()>);

impl Here {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }

    /// The frame that is current.
    #[inline(always)]
    #[track_caller]
    pub(super) fn frame(&self, what: &'static str) -> &Frame<'_> {
        let frame = CURRENT.get();
        if frame.is_null() {
            outside(what);
        }
        // SAFETY: a frame is current only inside its `enter`, on this thread, and the function that has
        // made `self` was called in there.
        unsafe { &*frame.cast() }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn outside(what: &str) -> ! {
    // In `end` the dict can be read, and nothing else is left to do.
    let hooks = if what.starts_with("dict") { "`begin`, `end`" } else { "`begin`" };
    panic!(
        "{what} called outside a message loop: it works in {hooks} and the tasks of \
         Runner::new(MessageLoop::new(begin, end)).start(), on the thread that runs them"
    );
}
