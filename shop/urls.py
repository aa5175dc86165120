"""The shop's addresses. Names and shapes are promised to foreign clients; those of the API stand in shop/openapi.py."""

from django.urls import path

from shop import account, api, buying, ordered, views, widget

app_name = "shop"
urlpatterns = [
    # the catalogue: public, without a cookie, kept by `page_cache`
    path("shop/", views.home, name="home"),
    path("shop/c/<slug:category>/", views.category, name="category"),
    path("shop/p/<slug:product>/", views.product, name="product"),
    path("shop/search/", views.search, name="search"),
    path("shop/deals/", views.deals, name="deals"),
    path("shop/events/", views.events, name="events"),
    path("shop/events/<slug:event>/", views.event, name="event"),
    path("api/search", api.search, name="search_api"),
    path("api/suggest", api.suggest, name="suggest_api"),
    # one visitor's own
    path("api/cart", api.cart, name="cart_api"),
    path("shop/recommended/<slug:product>/", widget.recommended, name="recommended"),
    path("shop/cart/", buying.cart, name="cart"),
    path("shop/cart/add/", buying.add, name="cart_add"),
    path("shop/cart/update/", buying.update, name="cart_update"),
    path("shop/checkout/", buying.checkout, name="checkout"),
    path("shop/orders/", ordered.order_list, name="orders"),
    path("shop/orders/<str:number>/", ordered.order, name="order"),
    path("shop/orders/<str:number>/pay/", ordered.pay, name="order_pay"),
    path("shop/orders/<str:number>/cancel/", ordered.cancel, name="order_cancel"),
    path("shop/fans/", account.fans, name="fans"),
    path("account/", account.overview, name="account"),
    path("account/signup/", account.signup, name="signup"),
    path("account/login/", account.login, name="login"),
    path("account/logout/", account.logout, name="logout"),
    path("account/password/", account.password, name="password"),
    path("account/addresses/", account.addresses, name="addresses"),
    path("account/addresses/<int:address>/", account.address, name="address"),
]
