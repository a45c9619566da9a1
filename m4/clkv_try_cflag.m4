# CLKV_TRY_CFLAG(FLAG, [ADDED]): adds ADDED, FLAG unless it's given, to CLKV_CFLAGS if the compiler takes FLAG. The user's
# CFLAGS stay as they are.
AC_DEFUN([CLKV_TRY_CFLAG],
	[AC_MSG_CHECKING([whether $CC takes $1])
	 clkv_saved_CFLAGS=$CFLAGS
	 CFLAGS="$CFLAGS -Werror $1"
	 AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes]); CLKV_CFLAGS="$CLKV_CFLAGS m4_default([$2], [$1])"],
		[AC_MSG_RESULT([no])])
	 CFLAGS=$clkv_saved_CFLAGS])
