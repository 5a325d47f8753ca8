//! `#[callback]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Expr, ItemFn, parse_quote};

pub(crate) fn register(options: TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    crate::check(function)?;
    let ident = &function.sig.ident;
    if let Some(token) = &function.sig.unsafety {
        return Err(syn::Error::new_spanned(token, "nobody could uphold the contract of an unsafe callback"));
    }
    let mut tag: Expr = parse_quote!(0);
    let mut payload: Expr = parse_quote!(b"");
    syn::meta::parser(|option| {
        if option.path.is_ident("tag") {
            tag = option.value()?.parse()?;
            Ok(())
        } else if option.path.is_ident("payload") {
            payload = option.value()?.parse()?;
            Ok(())
        } else {
            Err(option.error("a callback has the options `tag = ..` and `payload = ..`"))
        }
    })
    .parse2(options)?;
    Ok(quote! {
        const _: () = {
            const _: () = crate::DECLARED_BY_DLCAST_PLUGIN;
            ::dlcast_plugin::on_open! { ::dlcast_plugin::add_callback(#ident, #payload, #tag); }
        };
    })
}
