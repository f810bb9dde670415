//! A boxed value whose type only its key knows.

use std::{
    any::TypeId,
    fmt,
    ops::{Deref, DerefMut},
    ptr,
};

/// A box of some type that can do what `D` can.
///
/// The type is kept beside the box: asking the box for it is a call through its table, which would be a
/// good part of what a merge, or a change under the lock, costs.
pub(super) struct Erased<D: ?Sized> {
    type_of_value: TypeId,
    value: Box<D>,
}

impl<D: ?Sized> Erased<D> {
    /// Boxes `value`; `erase` forgets its type and returns the box that it is given.
    pub(super) fn new<T: 'static>(value: T, erase: fn(Box<T>) -> Box<D>) -> Self {
        let typed = Box::new(value);
        let address = ptr::from_ref(&*typed);
        let value = erase(typed);
        assert!(ptr::addr_eq(address, ptr::from_ref(&*value)), "this is another box");
        Self { type_of_value: TypeId::of::<T>(), value }
    }

    #[inline(always)]
    pub(super) fn is<T: 'static>(&self) -> bool {
        self.type_of_value == TypeId::of::<T>()
    }

    /// The value, if it is a `T`.
    #[inline(always)]
    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        // SAFETY: `new` was given a box of the type that it noted, nothing replaces the box, and that type
        // is `T`.
        self.is::<T>().then(|| unsafe { &*ptr::from_ref(&*self.value).cast::<T>() })
    }

    /// The value, if it is a `T`, to be changed.
    #[inline(always)]
    pub(super) fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        // SAFETY: as in `get`.
        self.is::<T>().then(|| unsafe { &mut *ptr::from_mut(&mut *self.value).cast::<T>() })
    }

    pub(super) fn into_box(self) -> Box<D> {
        self.value
    }
}

impl<D: ?Sized> Deref for Erased<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.value
    }
}

impl<D: ?Sized> DerefMut for Erased<D> {
    fn deref_mut(&mut self) -> &mut D {
        &mut self.value
    }
}

impl<D: ?Sized + fmt::Debug> fmt::Debug for Erased<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use super::*;

    #[test]
    fn a_value_is_found_as_what_it_is_only() {
        let mut text = Erased::<dyn Any>::new("seven".to_string(), |text| text);
        assert!(text.is::<String>() && !text.is::<u64>());
        assert_eq!(text.get::<u64>(), None);
        assert_eq!(text.get_mut::<&str>(), None);
        text.get_mut::<String>().expect("it is a string").push('!');
        assert_eq!(text.get::<String>().map(String::as_str), Some("seven!"));
        assert_eq!(*text.into_box().downcast::<String>().expect("it is a string"), "seven!");
        let nothing = Erased::<dyn Any>::new((), |nothing| nothing);
        assert_eq!(nothing.get(), Some(&()));
    }

    #[test]
    #[should_panic(expected = "another box")]
    fn a_box_cannot_be_exchanged() {
        Erased::<dyn Any>::new(7_u64, |seven| Box::new((seven, "another type")));
    }
}
