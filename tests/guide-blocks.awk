# SPDX-License-Identifier: MIT
# The blocks of a page in one language, one behind the other: -v language=c
$0 == "```" language { inside = 1; next }
/^```/ { inside = 0 }
inside
