"""The sale's addresses. Names and shapes are promised to foreign clients; the API's stand in ico/openapi.py."""

from django.urls import path

from ico import api, journey, ops, ops_owed, views

app_name = "ico"
urlpatterns = [
    path("", views.landing, name="landing"),
    path("signup/", views.signup, name="signup"),
    path("line/<str:ticket>/", views.line, name="line"),
    path("line/<str:ticket>/leave/", views.leave, name="line_leave"),
    path("i/<str:token>/", journey.terms, name="terms"),
    path("i/<str:token>/terms/", journey.accept, name="accept"),
    path("i/<str:token>/wallet/", journey.wallet, name="wallet"),
    path("i/<str:token>/payment/", journey.payment, name="payment"),
    path("api/position/<str:ticket>", api.position, name="position_api"),
    path("api/board", api.board_api, name="board_api"),
    path("api/payment/<str:token>", api.payment, name="payment_api"),
    path("ops/", ops.panel, name="ops"),
    path("ops/data.json", ops.data, name="ops_data"),
    path("ops/owed/", ops_owed.page, name="ops_owed"),
    path("ops/owed/list.csv", ops_owed.spreadsheet, name="ops_owed_csv"),
]
