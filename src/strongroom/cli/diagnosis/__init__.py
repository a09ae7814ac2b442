# SPDX-License-Identifier: Apache-2.0
"""What `strongroom doctor` looks at, a file for each kind of thing. Looks only: nothing here mends or makes."""
