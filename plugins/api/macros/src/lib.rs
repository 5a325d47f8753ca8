//! The attributes of `dlcast-plugin`: each keeps the function as it is and adds its registration.
//!
//! They know nothing of the table: what they write is a call of `dlcast_plugin::on_open!`.

mod callback;
mod task;

use proc_macro::TokenStream;
use quote::quote;

/// Makes a function a task: `#[task]`, under its own name, or `#[task(name = "step")]`.
///
/// It takes up to eight numbers, `bool`s and pointers, and gives one of them, nothing, or a `Result` with any error that
/// can be displayed. An `unsafe fn` is a task, too; its contract is then the caller's.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(item, |function| task::register(options.into(), function))
}

/// Makes a function a callback, run once in every process: `#[callback(tag = 1, payload = b"grid")]`; both are optional
/// and any expressions. The function takes `(payload: &[u8], tag: u64)` and gives nothing or a `Result` of nothing.
#[proc_macro_attribute]
pub fn callback(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(item, |function| callback::register(options.into(), function))
}

/// The function, and what `register` makes of it; an error points at its place and keeps the function.
fn expand(
    item: TokenStream,
    register: impl FnOnce(&syn::ItemFn) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let kept = proc_macro2::TokenStream::from(item.clone());
    let added =
        syn::parse(item).and_then(|function| register(&function)).unwrap_or_else(|error| error.to_compile_error());
    quote! { #kept #added }.into()
}

/// What neither a task nor a callback can be.
fn check(function: &syn::ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        return Err(syn::Error::new_spanned(token, "an async function has no result when it returns"));
    }
    if signature.generics.type_params().next().is_some() || signature.generics.const_params().next().is_some() {
        return Err(syn::Error::new_spanned(
            &signature.generics,
            "a generic function is no one function: add its instances in `dlcast_plugin::on_open! { .. }`",
        ));
    }
    Ok(())
}
