# SPDX-License-Identifier: Apache-2.0
"""The small pages where people sign in, set themselves up and keep their account; their scripts ask the API."""
