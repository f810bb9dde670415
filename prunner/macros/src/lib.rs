//! The macros of prunner: `#[derive(Labeled)]` and `#[task]`. Use them through the `prunner` crate.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::{
    Data, DeriveInput, Error, Fields, FnArg, Ident, ItemFn, Result, Type, parse_macro_input,
    spanned::Spanned,
};

/// Makes a type a task: each variant of an enum is a label and its fields are the data; a struct
/// has one label, its name.
#[proc_macro_derive(Labeled)]
pub fn labeled(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive_labeled(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive_labeled(input: &DeriveInput) -> Result<Tokens> {
    let variants: Vec<(Tokens, &Ident, &Fields)> = match &input.data {
        Data::Struct(data) => vec![(quote!(Self), &input.ident, &data.fields)],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let name = &variant.ident;
                (quote!(Self::#name), name, &variant.fields)
            })
            .collect(),
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span(), "a union cannot be a task"));
        }
    };
    if variants.is_empty() {
        return Err(Error::new(input.ident.span(), "a task needs at least one variant: its label"));
    }
    let labels = variants.iter().map(|(path, name, _)| {
        let label = name.to_string();
        quote!(#path { .. } => #label)
    });
    let ids = variants.iter().enumerate().map(|(id, (path, _, _))| {
        let id = id as u64;
        quote!(#path { .. } => #id)
    });
    let data = variants.iter().map(|(path, _, fields)| data_arm(path, fields));
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::prunner::Labeled for #name #arguments #bounds {
            fn label(&self) -> &str {
                match self { #(#labels,)* }
            }

            #[inline(always)]
            fn label_id(&self) -> u64 {
                match self { #(#ids,)* }
            }

            fn fmt_data(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #[allow(unused_imports)]
                use ::prunner::__private::{IsDebug as _, IsNotDebug as _, MaybeDebug};
                match self { #(#data,)* }
            }
        }
    })
}

/// Writes the fields of one variant as its derived `Debug` would, without the name.
fn data_arm(path: &Tokens, fields: &Fields) -> Tokens {
    let locals: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("field_{at}")).collect();
    let shown = locals.iter().map(|local| quote!((&MaybeDebug(#local)).shown()));
    match fields {
        _ if fields.is_empty() => quote!(#path { .. } => ::core::result::Result::Ok(())),
        Fields::Unnamed(_) => {
            let commas = (0..fields.len()).map(|at| if at == 0 { "(" } else { ", " });
            quote! {
                #path(#(#locals),*) => {
                    #(
                        f.write_str(#commas)?;
                        ::core::fmt::Debug::fmt(#shown, f)?;
                    )*
                    f.write_str(")")
                }
            }
        }
        Fields::Unit => unreachable!("it has no fields"),
        Fields::Named(named) => {
            let names: Vec<&Ident> =
                named.named.iter().filter_map(|it| it.ident.as_ref()).collect();
            let texts = names.iter().enumerate().map(|(at, name)| {
                let lead = if at == 0 { "{ " } else { ", " };
                format!("{lead}{name}: ")
            });
            quote! {
                #path { #(#names: #locals),* } => {
                    #(
                        f.write_str(#texts)?;
                        ::core::fmt::Debug::fmt(#shown, f)?;
                    )*
                    f.write_str(" }")
                }
            }
        }
    }
}

/// Says that a function is a task, to be posted with `post_task`.
///
/// It is checked here, at the function and not only where it is posted, that its arguments could travel
/// to another process and that it returns nothing or a `TaskResult`.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let checked = match arguments.is_empty() {
        true => check_task(&function),
        false => Err(Error::new(function.sig.ident.span(), "#[task] takes no arguments")),
    };
    let checked = checked.unwrap_or_else(Error::into_compile_error);
    quote!(#function #checked).into()
}

fn check_task(function: &ItemFn) -> Result<Tokens> {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        return Err(Error::new(token.span(), "a task is not async: it may block its worker"));
    }
    if !signature.generics.params.is_empty() {
        let text = "a task has no generic parameters: it is found by its name";
        return Err(Error::new(signature.generics.span(), text));
    }
    let types: Vec<&Type> = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let posted = match types.as_slice() {
        [one] => quote!(#one),
        several => quote!((#(#several),*)),
    };
    let name = &signature.ident;
    let span = name.span();
    if types.len() < signature.inputs.len() {
        let check = format_ident!("__{}_is_a_task", name);
        return Ok(quote::quote_spanned! { span =>
            #[doc(hidden)]
            #[allow(dead_code)]
            fn #check() {
                ::prunner::__private::assert_task::<_, #posted, _>(&Self::#name);
            }
        });
    }
    Ok(quote::quote_spanned! { span =>
        const _: fn() = || ::prunner::__private::assert_task::<_, #posted, _>(&#name);
    })
}
