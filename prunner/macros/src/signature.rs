//! What a function under `#[task]` may look like, as far as its signature shows it.
//!
//! The traits would refuse the same functions, but in the terms of their bounds.

use proc_macro2::{Spacing, TokenStream as Tokens, TokenTree};
use quote::ToTokens;
use syn::{
    Error, FnArg, GenericParam, Receiver, ReceiverKind, Result, ReturnType, Signature, Type,
};

pub(crate) const GENERIC: &str = "a task has no generic parameters: it is found by its name";

const ASYNC: &str = "a task is not async: it may block its worker";

const BORROWS: &str = "a task borrows nothing, because its arguments may travel to another process: \
    take a `String` for a `&str`, a `Vec<T>` for a `&[T]`, a `T` for a `&T`";

const STATE: &str = "a task that is a method takes `&self`: the state is shared by all workers; what \
    changes goes into the dict";

const SEVERAL: &str =
    "a task takes at most four arguments: put some of them into a struct or a tuple";

const ERROR: &str = "the error of a task is sent between threads: return `TaskResult`, or \
    `Result<(), Box<dyn Error + Send + Sync>>`";

/// So many arguments a function may have that is posted with a tuple of them.
const MOST_ARGUMENTS: usize = 4;

/// Refuses what cannot be a task, all of it at once.
pub(crate) fn check<'a>(signatures: impl IntoIterator<Item = &'a Signature>) -> Result<()> {
    let wrong = signatures.into_iter().flat_map(all_wrong).reduce(|mut all, one| {
        all.combine(one);
        all
    });
    wrong.map_or(Ok(()), Err)
}

fn all_wrong(signature: &Signature) -> Vec<Error> {
    let mut wrong: Vec<Error> = signature.inputs.iter().filter_map(wrong_input).collect();
    if let Some(parameter) = signature.generics.params.first() {
        let borrows = matches!(parameter, GenericParam::Lifetime(_));
        // Where the lifetime is used it was found already.
        if !borrows || wrong.is_empty() {
            let text = if borrows { BORROWS } else { GENERIC };
            wrong.push(Error::new_spanned(&signature.generics, text));
        }
    }
    if let Some(token) = &signature.asyncness {
        wrong.push(Error::new_spanned(token, ASYNC));
    }
    let arguments = signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
    if arguments.count() > MOST_ARGUMENTS {
        wrong.push(Error::new_spanned(&signature.inputs, SEVERAL));
    }
    if let ReturnType::Type(_, returned) = &signature.output
        && is_error_that_stays(returned.to_token_stream())
    {
        wrong.push(Error::new_spanned(returned, ERROR));
    }
    wrong
}

fn wrong_input(input: &FnArg) -> Option<Error> {
    let (tokens, text) = match input {
        FnArg::Receiver(receiver) if !is_shared(receiver) => (receiver.to_token_stream(), STATE),
        FnArg::Receiver(_) => return None,
        FnArg::Typed(typed) => (typed.ty.to_token_stream(), wrong_argument(&typed.ty)?),
    };
    Some(Error::new_spanned(tokens, text))
}

/// Whether it is `&self`, or a `self` with a type of its own, which the traits look at.
fn is_shared(receiver: &Receiver) -> bool {
    !matches!(receiver.kind, ReceiverKind::Value | ReceiverKind::Reference(_, _, Some(_)))
}

fn wrong_argument(argument: &Type) -> Option<&'static str> {
    match argument {
        Type::ImplTrait(_) => Some(GENERIC),
        _ => borrows(argument.to_token_stream()).then_some(BORROWS),
    }
}

/// Whether there is a reference in a type, or a lifetime that ends.
fn borrows(argument: Tokens) -> bool {
    let mut after_quote = false;
    argument.into_iter().any(|token| {
        let lifetime = std::mem::take(&mut after_quote);
        match token {
            TokenTree::Punct(punct) => {
                after_quote = punct.as_char() == '\'' && punct.spacing() == Spacing::Joint;
                punct.as_char() == '&'
            }
            TokenTree::Ident(name) => lifetime && name != "static",
            TokenTree::Group(group) => borrows(group.stream()),
            TokenTree::Literal(_) => false,
        }
    })
}

/// Whether there is a `Box<dyn Error>` that cannot be sent.
fn is_error_that_stays(returned: Tokens) -> bool {
    let names: Vec<String> = returned
        .into_iter()
        .filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    has("Box") && has("dyn") && has("Error") && !(has("Send") && has("Sync"))
}
