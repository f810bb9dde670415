//! The macros of prunner: `#[derive(Labeled)]` and `#[task]`. Use them through the `prunner` crate.

mod signature;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, FnArg, Ident, ImplItem, Item, ItemFn, ItemImpl,
    Result, Signature, Type, parse_macro_input, parse_quote_spanned, spanned::Spanned,
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
/// It is checked here, at the function and not only where it is posted, that its arguments can travel
/// to another process and that it returns nothing or a `TaskResult`. And the function is registered:
/// a task that travels finds it there by its name.
///
/// A method needs the attribute twice, because a method alone cannot be registered: on itself, and on
/// its `impl` block. Methods of the block without it are left alone.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = parse_macro_input!(item as Item);
    let arguments = Tokens::from(arguments);
    let added = match &mut item {
        _ if !arguments.is_empty() => Err(Error::new(arguments.span(), ARGUMENTS)),
        Item::Fn(function) => task_function(function),
        Item::Impl(block) => task_methods(block),
        other => {
            let text = "#[task] is for functions, and for `impl` blocks with methods under #[task]";
            Err(Error::new(other.span(), text))
        }
    };
    let added = added.unwrap_or_else(Error::into_compile_error);
    quote!(#item #added).into()
}

/// Registers a function. A method, whose type is not known here, is only checked.
fn task_function(function: &ItemFn) -> Result<Tokens> {
    let signature = &function.sig;
    let posted = posted_arguments(signature)?;
    let name = &signature.ident;
    let span = name.span();
    let cfgs = cfgs(&function.attrs);
    if signature.receiver().is_some() {
        let check = format_ident!("__{}_is_a_task", name);
        return Ok(quote_spanned! { span =>
            #(#cfgs)*
            #[doc(hidden)]
            #[allow(dead_code)]
            fn #check() {
                ::prunner::__private::TaskEntry::of::<_, #posted, _>(&Self::#name);
            }
        });
    }
    Ok(quote_spanned! { span =>
        #(#cfgs)*
        const _: () = {
            const ENTRY_OF_THE_TASK: ::prunner::__private::TaskEntry =
                ::prunner::__private::TaskEntry::of::<_, #posted, _>(&#name);
            ::prunner::__private::inventory::submit! { ENTRY_OF_THE_TASK }
        };
    })
}

/// Registers the methods of a block that are under `#[task]`, and takes that from them.
fn task_methods(block: &mut ItemImpl) -> Result<Tokens> {
    let mut methods = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let Some(place) = method.attrs.iter().position(is_task) else { continue };
        let attribute = method.attrs.remove(place);
        methods.push((attribute, &*method));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new(block.generics.span(), signature::GENERIC));
    }
    if let Some((path, _)) = &block.trait_ {
        let text = "methods of a trait cannot be tasks: put them into an `impl` of the type alone";
        return Err(Error::new(path.span(), text));
    }
    let of_type = &block.self_ty;
    if methods.is_empty() {
        let text = "no method of this block is under #[task]: put it on each that is posted, too";
        return Err(Error::new(of_type.span(), text));
    }
    signature::check(methods.iter().map(|(_, method)| &method.sig))?;
    let mut entries = Vec::new();
    let mut submissions = Vec::new();
    for (attribute, method) in methods {
        if attribute.meta.require_path_only().is_err() {
            return Err(Error::new(attribute.span(), ARGUMENTS));
        }
        let posted = posted_arguments(&method.sig)?;
        let name = &method.sig.ident;
        let span = name.span();
        let cfgs = cfgs(&method.attrs);
        // It is made inside the block, where the arguments may be called `Self`.
        let entry = format_ident!("__{}_is_a_task", name);
        entries.push(parse_quote_spanned! { span =>
            #(#cfgs)*
            #[doc(hidden)]
            #[allow(non_upper_case_globals)]
            const #entry: ::prunner::__private::TaskEntry =
                ::prunner::__private::TaskEntry::of::<_, #posted, _>(&Self::#name);
        });
        submissions.push(quote_spanned! { span =>
            #(#cfgs)*
            const _: () = {
                ::prunner::__private::inventory::submit! { <#of_type>::#entry }
            };
        });
    }
    block.items.extend(entries);
    Ok(quote!(#(#submissions)*))
}

/// Whether this is `#[task]` or `#[prunner::task]`.
fn is_task(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "task")
}

/// The conditions under which an item is there at all: what belongs to it is there under the same.
fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|it| it.path().is_ident("cfg")).cloned().collect()
}

const ARGUMENTS: &str = "#[task] takes no arguments";

/// The type of what a function is posted with: its argument, or a tuple of none or several.
fn posted_arguments(signature: &Signature) -> Result<Tokens> {
    signature::check([signature])?;
    let types: Vec<&Type> = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    Ok(match types.as_slice() {
        [one] => quote!(#one),
        several => quote!((#(#several),*)),
    })
}
