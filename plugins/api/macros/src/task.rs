//! `#[task]`.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::{FnArg, ItemFn, LitStr};

pub(crate) fn register(options: TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    crate::check(function)?;
    let ident = &function.sig.ident;
    let mut name = LitStr::new(&ident.to_string(), ident.span());
    syn::meta::parser(|option| {
        if option.path.is_ident("name") {
            name = option.value()?.parse()?;
            Ok(())
        } else {
            Err(option.error("a task has the option `name = \"..\"`"))
        }
    })
    .parse2(options)?;

    let c_name =
        std::ffi::CString::new(name.value()).map_err(|_| syn::Error::new_spanned(&name, "a name holds no NUL"))?;
    let mut c_name = Literal::c_string(&c_name);
    c_name.set_span(name.span());
    let mut types = Vec::new();
    for argument in &function.sig.inputs {
        match argument {
            FnArg::Typed(argument) => types.push(&argument.ty),
            FnArg::Receiver(receiver) => {
                return Err(syn::Error::new_spanned(receiver, "a task is a function, not a method"));
            }
        }
    }
    if types.len() > 8 {
        return Err(syn::Error::new_spanned(&function.sig.inputs, "a task takes at most eight arguments"));
    }
    let value = if function.sig.unsafety.is_some() {
        let names: Vec<_> = (0..types.len()).map(|at| format_ident!("argument_{at}")).collect();
        quote! {
            |#(#names: #types),*| {
                // SAFETY: the caller of the task upholds the function's contract.
                unsafe { #ident(#(#names),*) }
            }
        }
    } else {
        quote! { #ident }
    };
    Ok(quote! {
        const _: () = {
            const _: () = crate::DECLARED_BY_DLCAST_PLUGIN;
            ::dlcast_plugin::on_open! { ::dlcast_plugin::add_task(#c_name, #value); }
        };
    })
}
