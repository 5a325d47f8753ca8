//! The macros that need no parsing: a plugin's name, a constructor.

/// Once in a plugin, in the root of its crate: its name, unique among the plugins of a session, and its version, by
/// default the crate's. Exports `dlcast_plugin_table_v1`; `#[task]` and `#[callback]` do not compile without it.
///
/// ```
/// dlcast_plugin::plugin!("heat", "1.2");
/// # fn main() {}
/// ```
#[cfg(feature = "macros")]
#[macro_export]
macro_rules! plugin {
    ($name:expr) => {
        $crate::plugin!($name, ::core::env!("CARGO_PKG_VERSION"));
    };
    ($name:expr, $version:expr) => {
        #[doc(hidden)]
        #[allow(unused)]
        pub(crate) const DECLARED_BY_DLCAST_PLUGIN: () = ();

        const _: () = {
            const NAME: $crate::text::Text = $crate::text::Text::of($name);
            const VERSION: $crate::text::Text = $crate::text::Text::of($version);
            static TABLE: $crate::abi::Table =
                $crate::table::table(const { NAME.as_c_str() }, const { VERSION.as_c_str() });

            /// Says where the table of this plugin is.
            #[unsafe(no_mangle)]
            extern "C" fn dlcast_plugin_table_v1() -> *const $crate::abi::Table {
                &raw const TABLE
            }
        };
    };
}

/// Statements that run while the plugin is opened: where it adds what has no attribute, such as instances of a generic
/// function, and asks for libraries. They run in a constructor: nothing there may wait, and a panic aborts.
///
/// ```
/// # fn scale<T: std::ops::MulAssign + Copy>(x: *mut T, by: T) {}
/// dlcast_plugin::on_open! {
///     dlcast_plugin::add_task(c"scale<f64>", scale::<f64>);
///     dlcast_plugin::ask_library(c"$ORIGIN/libfields.so", 0);
/// }
/// # fn main() {}
/// ```
#[cfg(feature = "macros")]
#[macro_export]
macro_rules! on_open {
    ($($statements:tt)*) => {
        const _: () = {
            $crate::__private::ctor! {
                #[ctor(unsafe)]
                fn on_open() {
                    $($statements)*
                }
            }
        };
    };
}
